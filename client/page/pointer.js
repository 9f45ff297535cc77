/** A point follows the pointer that has grabbed it, with what is under it shown larger. */

import { magnify } from "./drawing.js";

/**
 * From here until the pointer lets go. `place(x, y)` is told where the pointer is on the photo, which is `drawing`'s, and
 * returns the point that was put there; null where there is nothing to move any more.
 */
export function drag(event, drawing, place) {
  const { box } = drawing;
  const loupe = box.querySelector(".loupe");
  const ending = new AbortController();
  box.setPointerCapture(event.pointerId);
  const follow = (each) => {
    if (each.pointerId !== event.pointerId) return;
    const { x, y } = drawing.at(each);
    const point = place(x, y);
    if (point) magnify(loupe, drawing, point);
  };
  const end = () => {
    ending.abort();
    loupe.hidden = true;
  };
  box.addEventListener("pointermove", follow, { signal: ending.signal });
  for (const each of ["pointerup", "pointercancel"]) box.addEventListener(each, end, { signal: ending.signal });
}
