/** The points as a table: what a screen reader reads, and where states are set without a pointer. */

import { readable } from "./drawing.js";
import { STATES } from "./editing.js";
import { isThere } from "./server.js";

export class Table {
  /** Calls `pick(index)` when a point is chosen and `change(index, v)` when its state is set. */
  constructor(body, pick, change) {
    this.body = body;
    body.addEventListener("click", ({ target }) => target.closest("button") && pick(indexOf(target)));
    body.addEventListener("change", ({ target }) => change(indexOf(target), Number(target.value)));
  }

  /** Points that are there come first; a row keeps its place while it is corrected. */
  show(about, points) {
    this.rows = about.keypoints.map((name, index) => {
      const row = document.createElement("tr");
      row.dataset.index = index;
      row.dataset.name = name;
      const head = document.createElement("th");
      head.scope = "row";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = readable(name);
      head.append(button);
      const select = document.createElement("select");
      select.setAttribute("aria-label", `State of ${readable(name)}`);
      select.append(...STATES.map((state, value) => new Option(state, value)));
      const cells = ["state", "score", "x", "y", "canary"].map((kind) => {
        const cell = document.createElement("td");
        cell.className = kind;
        return cell;
      });
      cells[0].append(select);
      row.append(head, ...cells);
      return row;
    });
    const isLast = (row) => (isThere(points[row.dataset.index]) ? 0 : 1);
    this.body.closest("div").scrollTop = 0;
    this.body.replaceChildren(...[...this.rows].sort((one, other) => isLast(one) - isLast(other)));
  }

  update(points, selected, beside) {
    points.forEach((point, index) => {
      const row = this.rows[index];
      const [state, score, x, y, canary] = row.querySelectorAll("td");
      row.classList.toggle("absent", !isThere(point));
      row.classList.toggle("selected", index === selected);
      row.querySelector("button").setAttribute("aria-pressed", index === selected);
      state.firstChild.value = point.v;
      score.textContent = point.corrected ? "by hand" : isThere(point) ? sure(point) : "";
      x.textContent = isThere(point) ? point.x.toFixed(1) : "";
      y.textContent = isThere(point) ? point.y.toFixed(1) : "";
      canary.textContent = beside ? difference(point, beside(row.dataset.name)) : "";
    });
    this.rows[selected]?.scrollIntoView({ block: "nearest" });
  }
}

export const sure = (point) => (point.score === null ? "" : `${Math.round(100 * point.score)} %`);

function difference(point, other) {
  if (!other) return "no such point";
  if (other.v !== point.v) return STATES[other.v];
  return isThere(point) ? `${Math.hypot(point.x - other.x, point.y - other.y).toFixed(1)} px off` : "";
}

const indexOf = (target) => Number(target.closest("tr").dataset.index);
