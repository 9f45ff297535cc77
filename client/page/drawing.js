/** Points and lines over a photo, as an SVG in the photo's pixels whose marks keep their size on the screen. */

import { isThere } from "./server.js";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 4;
const RING = 8;
const REACH = 22;
const SIZE = 12;
const LINE = 15;

export const readable = (name) => name.replaceAll("_", " ");

export class Drawing {
  /** Of a .photo, which has an img and a svg. */
  constructor(box) {
    this.box = box;
    this.image = box.querySelector("img");
    this.svg = box.querySelector("svg");
    this.unit = 1;
  }

  show(photo, about) {
    this.photo = photo;
    this.about = about;
    this.image.src = photo.url;
    this.image.alt = photo.name;
    this.svg.setAttribute("viewBox", `0 0 ${photo.width} ${photo.height}`);
    this.lines = about.lines.flatMap((line) =>
      line.slice(1).map((end, at) => [line[at], end].map((name) => about.keypoints.indexOf(name))),
    );
    const strokes = ["casing", "line"].map((kind) => this.lines.map(() => element("line", kind)));
    this.strokes = strokes;
    this.marks = about.keypoints.map((name, index) => {
      const mark = element("g", "point");
      mark.dataset.index = index;
      mark.dataset.name = name;
      mark.append(...["reach", "halo", "under", "ring", "disc"].map((kind) => element("circle", kind)));
      return mark;
    });
    this.names = about.keypoints.map((name) => {
      const text = element("text", "name");
      text.textContent = readable(name);
      return text;
    });
    const { font } = getComputedStyle(this.box);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = font.replace(/[\d.]+px/, `${SIZE}px`);
    this.lengths = this.names.map((text) => pen.measureText(text.textContent).width + 4);
    this.svg.replaceChildren(...strokes.flat(), ...this.names, ...this.marks);
  }

  /** At most `width` x `height` pixels of the screen. */
  fit(width, height) {
    const factor = Math.min(width / this.photo.width, height / this.photo.height);
    this.unit = 1 / factor;
    this.box.style.width = `${Math.floor(this.photo.width * factor)}px`;
    this.box.style.height = `${Math.floor(this.photo.height * factor)}px`;
  }

  update(points, selected) {
    const { unit } = this;
    this.lines.forEach((ends, number) => {
      const [start, end] = ends.map((index) => points[index]);
      for (const kind of this.strokes) {
        const place = { x1: start.x, y1: start.y, x2: end.x, y2: end.y, visibility: shown(isThere(start) && isThere(end)) };
        set(kind[number], { ...place, opacity: opacity(start, end) });
      }
    });
    const taken = points.filter(isThere).map(({ x, y }) => this.#box(x - RING * unit, x + RING * unit, y));
    points.forEach((point, index) => {
      const mark = this.marks[index];
      mark.classList.toggle("occluded", point.v === 1);
      mark.classList.toggle("selected", index === selected);
      mark.classList.toggle("corrected", Boolean(point.corrected));
      set(mark, { transform: `translate(${point.x} ${point.y}) scale(${unit})`, visibility: shown(isThere(point)) });
      const [reach, halo, under, ring, disc] = mark.children;
      const round = 2 * Math.PI * RING;
      set(reach, { r: REACH });
      set(halo, { r: 14 });
      set(under, { r: RING });
      set(ring, { r: RING, "stroke-dasharray": `${round * (point.score ?? 1)} ${round}`, transform: "rotate(-90)" });
      set(disc, { r: RADIUS });
      this.#name(index, point, taken);
    });
  }

  #box(left, right, middle) {
    return { left, right, top: middle - (LINE / 2) * this.unit };
  }

  /** Beside its point, to the left of a left one where there is room, and below marks and names that are there already. */
  #name(index, point, taken) {
    const text = this.names[index];
    set(text, { visibility: shown(isThere(point)), "font-size": SIZE * this.unit });
    if (!isThere(point)) return;
    const long = this.lengths[index] * this.unit;
    const gap = (RING + 5) * this.unit;
    const high = LINE * this.unit;
    const [before, after] = [point.x - gap - long, point.x + gap];
    const isLeft = /left/i.test(text.textContent) ? before >= 0 : after + long > this.photo.width;
    const left = Math.min(Math.max(isLeft ? before : after, 0), Math.max(this.photo.width - long, 0));
    const isBeside = left + long <= point.x - gap / 2 || left >= point.x + gap / 2;
    let top = isBeside ? point.y - high / 2 : point.y + gap;
    while (taken.some((each) => left < each.right && each.left < left + long && Math.abs(top - each.top) < high)) {
      top += high / 4;
    }
    taken.push({ left, right: left + long, top });
    set(text, { x: isLeft ? left + long : left, y: top + high * 0.77, "text-anchor": isLeft ? "end" : "start" });
  }

  /** The place on the photo of a pointer, in the photo's pixels. */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    return { x: (event.clientX - box.left) * this.unit, y: (event.clientY - box.top) * this.unit };
  }

  /** The point that is nearest to a place and within reach; -1 where none is. */
  nearest(points, { x, y }) {
    const away = (point) => (isThere(point) ? Math.hypot(point.x - x, point.y - y) : Infinity);
    const index = points.reduce((best, point, each) => (away(point) < away(points[best]) ? each : best), 0);
    return away(points[index]) <= REACH * this.unit ? index : -1;
  }
}

/** What is under the pointer, larger: fingers cover what they point at. */
export function magnify(loupe, drawing, point) {
  const { photo, unit } = drawing;
  const pen = loupe.getContext("2d");
  const side = loupe.width;
  const shownSide = (side / 4) * unit;
  pen.fillStyle = "gray";
  pen.fillRect(0, 0, side, side);
  const start = [point.x - shownSide / 2, point.y - shownSide / 2];
  pen.drawImage(photo.image, ...start, shownSide, shownSide, 0, 0, side, side);
  pen.strokeStyle = "white";
  pen.lineWidth = 2;
  pen.strokeRect(side / 2 - 6, side / 2 - 6, 12, 12);
  const right = point.x < photo.width / 2;
  loupe.classList.toggle("right", right);
  loupe.hidden = false;
}

function element(kind, name) {
  const made = document.createElementNS(SVG, kind);
  made.setAttribute("class", name);
  return made;
}

function set(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, value);
}

const shown = (is) => (is ? "visible" : "hidden");
const opacity = (...ends) => 0.25 + 0.75 * Math.min(...ends.map((each) => each.score ?? 1));
