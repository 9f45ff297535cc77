// Keypoints of photos, over REST, with nothing but Node 18 or newer:
//
//   node examples/javascript/predict.mjs photo.jpg other.png
//   SERVER=http://127.0.0.1:8501 LABEL=stable node examples/javascript/predict.mjs photo.jpg
//   SERVER=https://models.example.com:8443 TOKEN=$(cat token) node examples/javascript/predict.mjs photo.jpg
//
// A gateway with a certificate of its own: NODE_EXTRA_CA_CERTS=var/gateway/certificate.pem.
//
// Prints one JSON object per photo. x and y are fractions of the picture's width and height: multiply them by the size
// at which you show it. score says how sure the model is, 0 to 1. Browsers do the same with fetch; the server then needs
// --rest_api_enable_cors_support.

import { readFile } from "node:fs/promises";

const SERVER = process.env.SERVER ?? "http://127.0.0.1:8501";
const LABEL = process.env.LABEL;
const TOKEN = process.env.TOKEN;
const MILLISECONDS = 10_000;

const VISIBILITY = ["absent", "occluded", "visible"];

/** The one answer to one input. Throws an Error with the server's own words. */
async function ask(signature_name, input) {
  const model = `${SERVER}/v1/models/keypoints${LABEL ? `/labels/${LABEL}` : ""}`;
  const response = await fetch(`${model}:predict`, {
    method: "POST",
    headers: TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {},
    body: JSON.stringify({ signature_name, instances: [input] }),
    signal: AbortSignal.timeout(MILLISECONDS),
  });
  // The server's errors are JSON and echo what was sent: a line is enough. A gateway's are a few words.
  const answer = await response.text();
  if (!response.ok) throw new Error(answer.replace(/\s+/g, " ").slice(0, 200));
  return JSON.parse(answer).predictions[0];
}

/** What the model says of itself: `keypoints.keypoints` are names in the order of its outputs, `keypoints.lines` join
 * them. Ask again when another version may have been promoted. */
export async function describe() {
  return JSON.parse(await ask("describe", ""));
}

/** The points of a JPEG or PNG file's bytes that are there, under `names`; old versions have no scores. */
export async function predict(bytes, names) {
  const found = await ask("serving_bytes", { b64: Buffer.from(bytes).toString("base64") });
  const { pred_x_ratio: x, pred_y_ratio: y, pred_v: v, pred_score: score } = found;
  return x
    .map((_, i) => ({ name: names[i] ?? `${i}`, x: x[i], y: y[i], visibility: VISIBILITY[v[i]], score: score?.[i] }))
    .filter((point) => point.visibility !== "absent");
}

// A version from before models described themselves does not say: its points are numbered.
const names = await describe().then(
  (model) => model.keypoints.keypoints,
  () => [],
);
for (const photo of process.argv.slice(2)) {
  try {
    console.log(JSON.stringify({ photo, keypoints: await predict(await readFile(photo), names) }));
  } catch (error) {
    console.error(`${photo}: ${error.cause?.message || error.message}`);
    process.exitCode = 1;
  }
}
