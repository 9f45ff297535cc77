/** What is said of an answer, and of a point. */

import { readable } from "./drawing.js";
import { STATES } from "./editing.js";
import { isThere } from "./server.js";
import { sure } from "./table.js";

export function caption({ version, milliseconds, points, about }, role) {
  const there = points.filter(isThere).length;
  const which = `Version ${version}${role && `, ${role}`}`;
  return `${which}: ${there} of ${about.keypoints.length} points in ${Math.round(milliseconds)} ms`;
}

export function sentence({ about, points }, index) {
  const point = points[index];
  const name = readable(about.keypoints[index]);
  if (!isThere(point)) return `${name}: absent. Click where it is, or press V.`;
  const how = point.corrected ? "by hand" : sure(point) && `${sure(point)} sure`;
  return [`${name}: ${STATES[point.v]}`, how, `x ${point.x.toFixed(1)}, y ${point.y.toFixed(1)}`].filter(Boolean).join(", ");
}
