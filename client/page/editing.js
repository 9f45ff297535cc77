/** Corrections of one photo's points. Each can be undone; none leaves the picture. */

const VISIBLE = 2;
export const STATES = ["absent", "occluded", "visible"];

/** The start of a correction: what is undone later, as a whole. */
export function begin(photo) {
  photo.undo.push({ points: photo.points.map((point) => ({ ...point })), category: photo.category });
  photo.accepted = false;
}

export function undo(photo) {
  Object.assign(photo, photo.undo.pop());
}

export function place(photo, index, x, y) {
  const point = photo.points[index];
  point.x = Math.min(Math.max(x, 0), photo.width);
  point.y = Math.min(Math.max(y, 0), photo.height);
  point.v ||= VISIBLE;
  point.score = null;
  point.corrected = true;
}

export function setState(photo, index, v) {
  const { x, y } = photo.points[index];
  photo.points[index].v = v;
  if (v) place(photo, index, x, y);
}

/** Swaps what is found of the two points of each pair. */
export function mirror(photo, pairs) {
  for (const [left, right] of pairs) {
    const [first, second] = [left, right].map((name) => photo.about.keypoints.indexOf(name));
    [photo.points[first], photo.points[second]] = [photo.points[second], photo.points[first]];
  }
}

export function pairOf(about, index) {
  return about.pairs.find((pair) => pair.includes(about.keypoints[index]));
}

/** The category that can have the most of the points that are there, and of those the one that lacks the fewest. */
export function fitting(about, points) {
  const there = about.keypoints.filter((_, index) => points[index].v);
  const merit = ([, { keypoints }]) => there.filter((name) => keypoints.includes(name)).length - keypoints.length / 1e6;
  return Object.entries(about.categories).reduce((best, each) => (merit(each) > merit(best) ? each : best))[0];
}

/** The index of the point that the model is least sure of, of those that are there; -1 where there is none. */
export function leastSure(points) {
  const sure = (point) => (point.v ? (point.score ?? 1) : 2);
  const index = points.reduce((least, point, each) => (sure(point) < sure(points[least]) ? each : least), 0);
  return points[index]?.v ? index : -1;
}
