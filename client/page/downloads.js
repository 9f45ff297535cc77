/** Answers and corrections as files: JSON as `predict.py --json` has it, and COCO keypoints. */

import { STATES } from "./editing.js";
import { isThere } from "./server.js";
import { toKeep } from "./photo.js";
import { zip } from "./zip.js";

export const json = (photos) => save(text(asJson(photos)), "points.json");
export const coco = (photos) => save(text(asCoco(photos)), "points-coco.json");
export const folder = async (photos) => save(await asZip(photos), "corrected.zip");

const text = (value) => new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });

function asJson(photos) {
  return photos.map(({ name, width, height, answer, about, points }) => ({
    photo: name,
    width,
    height,
    model: answer.model,
    version: answer.version,
    keypoints: points
      .map(({ x, y, v, score }, index) => ({
        name: about.keypoints[index],
        x: rounded(x),
        y: rounded(y),
        visibility: STATES[v],
        score: score === null ? null : Number(score.toFixed(4)),
      }))
      .filter((point) => point.visibility !== STATES[0]),
  }));
}

/** `fileName(photo, number)` is what the photo is called in it. */
function asCoco(photos, fileName = ({ name }) => name) {
  const categories = [];
  const images = [];
  const annotations = [];
  photos.forEach((photo, at) => {
    const { about, category, points, width, height } = photo;
    const same = (each) => each.name === category && String(each.keypoints) === String(about.keypoints);
    if (!categories.some(same)) categories.push(asCategory(about, category, categories.length + 1));
    const there = points.filter(isThere);
    const [xs, ys] = ["x", "y"].map((axis) => there.map((point) => rounded(point[axis])));
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const box = there.length ? [left, top, Math.max(...xs) - left, Math.max(...ys) - top].map(rounded) : [0, 0, 0, 0];
    images.push({ id: at + 1, file_name: fileName(photo, at), width, height });
    annotations.push({
      id: at + 1,
      image_id: at + 1,
      category_id: categories.find(same).id,
      keypoints: points.flatMap((point) => (isThere(point) ? [rounded(point.x), rounded(point.y), point.v] : [0, 0, 0])),
      num_keypoints: there.length,
      bbox: box,
      area: rounded(box[2] * box[3]),
      iscrowd: 0,
    });
  });
  return { categories, images, annotations };
}

function asCategory(about, name, id) {
  const place = (each) => about.keypoints.indexOf(each) + 1;
  const skeleton = about.lines.flatMap((line) => line.slice(1).map((end, at) => [place(line[at]), place(end)]));
  return { id, name, supercategory: about.thing, keypoints: about.keypoints, skeleton };
}

/** A folder that `make train DATA=` reads, packed: annotations, photos, and which points there are. */
async function asZip(photos) {
  const kept = await Promise.all(photos.map(toKeep));
  const names = photos.map(({ name }, at) => `${String(at + 1).padStart(4, "0")}-${safe(name)}.${kept[at].suffix}`);
  return zip([
    { name: "annotations/corrected.json", blob: text(asCoco(photos, (_, at) => names[at])) },
    { name: "keypoints.json", blob: text(photos[0].about) },
    ...kept.map(({ blob }, at) => ({ name: `images/${names[at]}`, blob })),
  ]);
}

/** Without folder and ending, and good on any system. */
const safe = (name) =>
  name
    .replace(/^.*[/\\]/, "")
    .replace(/\.[^.]*$/, "")
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .replace(/^[.-]+/, "")
    .slice(0, 60) || "photo";

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const rounded = (value) => Math.round(value * 100) / 100;
