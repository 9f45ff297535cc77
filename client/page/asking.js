/** What becomes of a photo: its picture, and what models answer to it. Each is asked for once, unless that fails. */

import { fitting } from "./editing.js";
import { open, toSend } from "./photo.js";
import { predict } from "./server.js";

/** The picture itself, once. */
export function opened(entry) {
  entry.opening ??= (async () => {
    entry.blob ??= await listedFile(entry);
    return Object.assign(entry, await open(entry.blob, entry.name));
  })().catch((error) => {
    entry.opening = null;
    throw error;
  });
  return entry.opening;
}

async function listedFile({ listed, name }) {
  const response = await fetch(`photos/${listed}`);
  if (!response.ok) throw new Error(`${name}: ${(await response.json()).error}`);
  return response.blob();
}

/** What `model` says, and the points that a person may change. */
export function answered(entry, model) {
  entry.answering ??= answeredBy(entry, model)
    .then((answer) => {
      const points = answer.points.map((point) => ({ ...point }));
      return Object.assign(entry, { answer, about: answer.about, points, category: fitting(answer.about, points) });
    })
    .catch((error) => {
      entry.answering = null;
      throw error;
    });
  return entry.answering;
}

/** What a model of this name says, once. */
export async function answeredBy(entry, model) {
  entry.answers ??= {};
  entry.answers[model] ??= await predict(model, await toSend(entry), entry);
  return entry.answers[model];
}
