/** The page: photos come in, the model is asked, a person looks, corrects and keeps. */

import { answered, answeredBy, opened } from "./asking.js";
import * as camera from "./camera.js";
import * as downloads from "./downloads.js";
import { Drawing, readable } from "./drawing.js";
import * as editing from "./editing.js";
import * as incoming from "./incoming.js";
import * as keys from "./keys.js";
import { base64, toKeep } from "./photo.js";
import { drag } from "./pointer.js";
import { ask, has, isThere, versionOf } from "./server.js";
import { Table } from "./table.js";
import { caption, sentence } from "./words.js";

const find = (selector) => document.querySelector(selector);
const work = find("#work");
const boxes = [...document.querySelectorAll(".photo")];
const captions = [...document.querySelectorAll("figcaption")];
const drawings = boxes.map((box) => new Drawing(box));
const compare = find("#compare");
const kind = find("#kind select");
const table = new Table(find("tbody"), choose, setState);

/** What the server of this page knows of itself. */
let home = { model: "keypoints", canary: "", saves: null, photos: [] };
const photos = [];
let current = -1;
let selected = -1;
let shownKinds = null;
let lastMove = {};

/** Pixels between two photos, and below each. */
const GAP = 16;
const CAPTION = 56;

const photo = () => photos[current];
const isAnswered = (each) => Boolean(each?.points);

start();

async function start() {
  for (const each of document.querySelectorAll(".camera")) each.hidden = !camera.exists();
  await attempt(async () => {
    home = await ask("page.json");
    home.photos.forEach((name, listed) => photos.push({ name, listed, undo: [] }));
    if (photos.length) show(0);
    const version = await versionOf(home.model);
    find("#model").textContent = `${home.model}, version ${version}`;
    find("#beside").hidden = !(home.canary && (await has(home.canary)));
  });
}

/** Does it, and says what went wrong. */
async function attempt(action) {
  find("#alert").textContent = "";
  try {
    return await action();
  } catch (error) {
    work.classList.remove("busy");
    find("#alert").textContent = error.message;
    return undefined;
  }
}

function add(files) {
  if (!files.length) {
    find("#alert").textContent = "What was dropped or pasted is no file. Save the picture, and drop the file.";
    return;
  }
  const first = photos.length;
  photos.push(...[...files].map((blob) => ({ name: blob.name, blob, undo: [] })));
  show(first);
}

async function show(index) {
  if (!photos[index]) return;
  current = index;
  selected = -1;
  lastMove = {};
  const entry = photo();
  work.dataset.state = "photo";
  work.classList.add("busy", "blank");
  find("#where").textContent = photos.length > 1 ? `${index + 1} of ${photos.length}  ${entry.name}` : entry.name;
  document.title = `${entry.name} · Seamline`;
  captions.forEach((each) => (each.textContent = ""));
  find("#kept").textContent = "";
  update();
  const mine = () => photo() === entry;
  await attempt(async () => {
    try {
      await opened(entry);
      if (mine()) lay();
      await answered(entry, home.model);
      if (compare.checked) await answeredBy(entry, home.canary);
    } catch (error) {
      if (mine()) throw error; // of another photo it is said when that is looked at
      return;
    }
    if (!mine()) return;
    work.classList.remove("busy");
    selected = entry.listed === undefined ? -1 : editing.leastSure(entry.points);
    lay();
    if (!find("dialog[open]")) boxes[0].focus({ preventScroll: true });
    const next = photos[index + 1];
    if (next) opened(next).then(() => answered(next, home.model)).catch(() => {}); // said when it is shown
  });
}

/** Draws what does not change while it is corrected. */
function lay() {
  const entry = photo();
  work.classList.remove("blank");
  const other = compare.checked ? entry.answers?.[home.canary] : null;
  boxes[1].parentElement.hidden = !other;
  work.classList.toggle("two", Boolean(other));
  const none = { keypoints: [], lines: [] };
  drawings[0].show(entry, entry.about ?? none);
  if (other) drawings[1].show(entry, other.about);
  if (entry.about) table.show(entry.about, entry.points);
  if (entry.about && entry.about !== shownKinds) {
    kind.replaceChildren(...Object.keys(entry.about.categories).map((name) => new Option(readable(name), name)));
    find("#kind").hidden = kind.options.length < 2;
    shownKinds = entry.about;
  }
  captions[0].textContent = entry.answer ? caption(entry.answer, other ? "serves" : "") : "";
  captions[1].textContent = other ? caption(other, "canary") : "";
  fit();
}

function fit() {
  if (!photo()?.image) return;
  const stage = find("#figures").getBoundingClientRect();
  const isNarrow = matchMedia("(max-width: 60rem)").matches;
  const across = work.classList.contains("two") && stage.width > 560 ? 2 : 1;
  const width = (stage.width - GAP * (across - 1)) / across;
  const height = isNarrow ? 0.66 * innerHeight : innerHeight - stage.top - scrollY - CAPTION;
  const shown = boxes[1].parentElement.hidden ? drawings.slice(0, 1) : drawings;
  for (const drawing of shown) drawing.fit(width, Math.max(height, 240));
  update();
}

function update() {
  const entry = photo();
  work.classList.toggle("answered", isAnswered(entry) && !work.classList.contains("busy"));
  for (const button of document.querySelectorAll("[data-do=previous], [data-do=next]")) {
    button.disabled = !photos[current + (button.dataset.do === "next" ? 1 : -1)];
  }
  find("nav").hidden = photos.length < 2 && !entry;
  if (!isAnswered(entry) || drawings[0].photo !== entry || drawings[0].about !== entry.about) return;
  const other = compare.checked ? entry.answers[home.canary] : null;
  drawings[0].update(entry.points, selected);
  if (other) drawings[1].update(other.points, -1);
  const beside = other && ((name) => other.points[other.about.keypoints.indexOf(name)]);
  work.classList.toggle("beside", Boolean(other));
  table.update(entry.points, selected, beside);
  kind.value = entry.category;
  find("#said").textContent = selected < 0 ? "Drag a point to correct it." : sentence(entry, selected);
  find("[data-do=undo]").disabled = !entry.undo.length;
  find("[data-do=mirror]").disabled = !editing.pairOf(entry.about, selected);
  find("[data-do=mirrorAll]").hidden = find("[data-do=mirror]").hidden = !entry.about.pairs.length;
  find("[data-do=accept]").textContent = home.saves ? "Save" : "Accept";
  boxes[0].classList.toggle("placing", selected >= 0 && !isThere(entry.points[selected]));
}

function choose(index) {
  selected = index;
  lastMove = {};
  update();
}

/** A correction of the photo that is shown. */
function correct(action) {
  const entry = photo();
  if (!isAnswered(entry)) return;
  editing.begin(entry);
  lastMove = {};
  action(entry);
  update();
}

function setState(index, v) {
  selected = index;
  if (index >= 0) correct((entry) => editing.setState(entry, index, v));
}

function move(dx, dy) {
  const entry = photo();
  if (!isAnswered(entry) || selected < 0 || !isThere(entry.points[selected])) return;
  // Steps that follow each other are undone together.
  if (lastMove.index !== selected || performance.now() - lastMove.when > 1500) editing.begin(entry);
  lastMove = { index: selected, when: performance.now() };
  const { x, y } = entry.points[selected];
  const { unit } = drawings[0];
  editing.place(entry, selected, x + dx * unit, y + dy * unit);
  update();
}

function step(by) {
  const there = photo()?.points?.length ?? 0;
  if (there) choose((Math.max(selected, by < 0 ? 0 : -1) + by + there) % there);
}

function mirror(pairs) {
  if (pairs?.length) correct((entry) => editing.mirror(entry, pairs));
}

async function accept() {
  const entry = photo();
  if (!isAnswered(entry)) return;
  await attempt(async () => {
    if (!entry.points.some(isThere)) throw new Error("No point is there: nothing can be learnt from this photo.");
    if (home.saves) {
      const { name, listed, category, about, points } = entry;
      const kept = listed === undefined ? { photo: await base64((await toKeep(entry)).blob) } : { listed };
      const label = { name, category, keypoints: about, points: points.map(({ x, y, v }) => [x, y, v]) };
      entry.saved = (await ask("save", { ...label, ...kept })).saved;
    }
    entry.accepted = true;
    const count = photos.filter((each) => each.accepted).length;
    const next = photos.findIndex((each, index) => index > current && !each.accepted);
    if (photo() === entry && next >= 0) await show(next);
    find("#kept").textContent = home.saves ? `Saved as ${entry.saved}` : `${count} accepted for the download`;
  });
}

/** Accepted photos; before any is, the one that is shown. */
const chosen = () => (photos.some((each) => each.accepted) ? photos.filter((each) => each.accepted) : [photo()]);

const ACTIONS = {
  again: () => (photo() ? show(current) : start()),
  next: () => show(current + 1),
  previous: () => show(current - 1),
  undo: () => {
    if (!photo()?.undo.length) return;
    editing.undo(photo());
    lastMove = {};
    update();
  },
  mirror: () => selected >= 0 && mirror([editing.pairOf(photo().about, selected)].filter(Boolean)),
  mirrorAll: () => mirror(photo().about.pairs),
  accept,
  camera: () =>
    attempt(async () => {
      const file = await camera.take();
      if (file) add([file]);
    }),
  json: () => downloads.json(chosen()),
  coco: () => downloads.coco(chosen()),
  zip: () => attempt(() => downloads.folder(chosen())),
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-do]");
  if (button) ACTIONS[button.dataset.do]();
});
keys.listen(
  [boxes[0], find("#answer")],
  {
    ",": () => step(-1),
    ".": () => step(1),
    l: () => isAnswered(photo()) && choose(editing.leastSure(photo().points)),
    v: () => setState(selected, 2),
    o: () => setState(selected, 1),
    a: () => setState(selected, 0),
    m: (event) => (event.shiftKey ? ACTIONS.mirrorAll() : ACTIONS.mirror()),
    u: ACTIONS.undo,
    n: ACTIONS.next,
    p: ACTIONS.previous,
    enter: accept,
    escape: () => choose(-1),
  },
  move,
);

boxes[0].addEventListener("pointerdown", (event) => {
  const entry = photo();
  if (!isAnswered(entry) || event.button) return;
  const [drawing] = drawings;
  const at = drawing.at(event);
  const index = drawing.nearest(entry.points, at);
  if (index < 0) {
    if (selected >= 0 && !isThere(entry.points[selected])) correct(() => editing.place(entry, selected, at.x, at.y));
    else choose(-1);
    return;
  }
  choose(index);
  // What was grabbed beside its middle stays beside it.
  const off = { x: entry.points[index].x - at.x, y: entry.points[index].y - at.y };
  let moved = false;
  drag(event, drawing, (x, y) => {
    if (photo() !== entry) return null;
    if (!moved) editing.begin(entry);
    moved = true;
    editing.place(entry, index, x + off.x, y + off.y);
    update();
    return entry.points[index];
  });
});

kind.addEventListener("change", () => correct((entry) => (entry.category = kind.value)));
find("#names").addEventListener("change", ({ target }) => work.classList.toggle("nameless", !target.checked));
compare.addEventListener("change", () => current >= 0 && show(current));
incoming.listen(work, add);
new ResizeObserver(fit).observe(find("#stage"));
addEventListener("resize", fit);
