// Keypoints of photos, over REST, with nothing but Node 18 or newer:
//
//   node examples/javascript/predict.mjs photo.jpg other.png
//   SERVER=http://127.0.0.1:8501 LABEL=stable node examples/javascript/predict.mjs photo.jpg
//   SERVER=https://models.example.com:8443 TOKEN=$(cat token) node examples/javascript/predict.mjs photo.jpg
//
// A gateway with a certificate of its own: NODE_EXTRA_CA_CERTS=var/gateway/certificate.pem.
//
// Prints one JSON object per photo. x and y are fractions of the picture's width and height: multiply them by the size
// at which you show it. Browsers do the same with fetch; the server then needs --rest_api_enable_cors_support.

import { readFile } from "node:fs/promises";

const SERVER = process.env.SERVER ?? "http://127.0.0.1:8501";
const LABEL = process.env.LABEL;
const TOKEN = process.env.TOKEN;
const MILLISECONDS = 10_000;

// The order of the model's outputs, as in model/keypoints.py.
const KEYPOINTS = `neckline_left neckline_right center_front shoulder_left shoulder_right armpit_left armpit_right
  waistline_left waistline_right cuff_left_in cuff_left_out cuff_right_in cuff_right_out top_hem_left top_hem_right
  waistband_left waistband_right hemline_left hemline_right crotch bottom_left_in bottom_left_out bottom_right_in
  bottom_right_out`.split(/\s+/);
const VISIBILITY = ["absent", "occluded", "visible"];

/** The points of a JPEG or PNG file's bytes. Throws an Error with the server's own words. */
export async function predict(bytes) {
  const model = `${SERVER}/v1/models/keypoints${LABEL ? `/labels/${LABEL}` : ""}`;
  const response = await fetch(`${model}:predict`, {
    method: "POST",
    headers: TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {},
    body: JSON.stringify({
      signature_name: "serving_bytes",
      instances: [{ b64: Buffer.from(bytes).toString("base64") }],
    }),
    signal: AbortSignal.timeout(MILLISECONDS),
  });
  // The server's errors are JSON and echo what was sent: a line is enough. A gateway's are a few words.
  const answer = await response.text();
  if (!response.ok) throw new Error(answer.replace(/\s+/g, " ").slice(0, 200));
  const [{ pred_x_ratio: x, pred_y_ratio: y, pred_v: v }] = JSON.parse(answer).predictions;
  return KEYPOINTS.map((name, i) => ({ name, x: x[i], y: y[i], visibility: VISIBILITY[v[i]] })).filter(
    (point) => point.visibility !== "absent",
  );
}

for (const photo of process.argv.slice(2)) {
  try {
    console.log(JSON.stringify({ photo, keypoints: await predict(await readFile(photo)) }));
  } catch (error) {
    console.error(`${photo}: ${error.cause?.message || error.message}`);
    process.exitCode = 1;
  }
}
