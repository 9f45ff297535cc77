/** One key each for what is done most while correcting. They count where the focus is on the photo or in the table. */

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAR = 10;

/** `actions` by key; and `move(dx, dy)`, in pixels of the screen. */
export function listen(places, actions, move) {
  for (const place of places) {
    place.addEventListener("keydown", (event) => {
      if (event.altKey || event.isComposing || event.target.matches("select, input")) return;
      if (event.ctrlKey || event.metaKey) {
        if (event.key.toLowerCase() === "z") run(event, actions.u);
        return;
      }
      const arrow = ARROWS[event.key];
      if (arrow) {
        run(event, () => move(...arrow.map((step) => step * (event.shiftKey ? FAR : 1))));
      } else if (!(event.key === "Enter" && event.target.matches("button"))) {
        run(event, actions[event.key.toLowerCase()]);
      }
    });
  }
}

function run(event, action) {
  if (!action) return;
  event.preventDefault();
  action(event);
}
