/** Asks the model's server over REST. What goes wrong is an Error whose message is for people. */

const MILLISECONDS = 60_000;
const FRESH_MILLISECONDS = 5_000;
const ABSENT = 0;

let token = sessionStorage.getItem("token") ?? "";
let askedForToken = null;

/** The JSON that `path` answers; with a `body`, to a POST of it. */
export async function ask(path, body, method = body === undefined ? "GET" : "POST") {
  for (;;) {
    const used = token;
    const response = await reach(path, body, method, used);
    if (response.status === 401 && (token !== used || (await newToken(used)))) continue;
    if (response.ok) return response.json();
    const error = new Error(words(response.status, await response.text()));
    error.status = response.status;
    throw error;
  }
}

async function reach(path, body, method, used) {
  const headers = { ...(used && { Authorization: `Bearer ${used}` }) };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(MILLISECONDS),
    });
  } catch (error) {
    if (error.name === "TimeoutError") throw new Error(`No answer within ${MILLISECONDS / 1000} seconds.`);
    throw new Error("This page’s own server cannot be reached. Is `make page`, or the gateway, still running?");
  }
}

/** Whether a person gave another token. All who wait are answered by one question. */
function newToken(refused) {
  askedForToken ??= question(refused).finally(() => {
    askedForToken = null;
  });
  return askedForToken;
}

function question(refused) {
  const dialog = document.getElementById("token");
  const secret = document.getElementById("secret");
  if (refused) document.getElementById("ask").textContent = "This token is not accepted. Another one:";
  secret.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = dialog.returnValue === "use" ? secret.value.trim() : "";
        secret.value = "";
        if (given) {
          token = given;
          sessionStorage.setItem("token", given);
        }
        resolve(Boolean(given));
      },
      { once: true },
    );
  });
}

const WORDS = {
  401: "The server asks for a token (401).",
  403: "The server does not allow this (403).",
  413: "The photo is too large for the server (413).",
  429: "The server is busy. Try again in a moment (429).",
  502: "No model server answers (502).",
  503: "The model server does not answer just now (503).",
  504: "The model server did not answer in time (504).",
};

/** The server's own words are JSON and may echo what was sent: a line of them is enough. */
function words(status, text) {
  let said = text;
  try {
    said = JSON.parse(text).error ?? text;
  } catch {
    // a gateway's are plain
  }
  said = String(said).replace(/\s+/g, " ").trim().slice(0, 200);
  return [WORDS[status] ?? `The server refused this (${status}).`, said].filter(Boolean).join(" ");
}

const versions = new Map();
const descriptions = new Map();

/** The number of the version that answers to the name `model`. */
export async function versionOf(model) {
  const known = versions.get(model);
  if (known && performance.now() - known.since < FRESH_MILLISECONDS) return known.version;
  const { model_spec: spec } = await ask(`v1/models/${model}/metadata`);
  versions.set(model, { version: Number(spec.version), since: performance.now() });
  return Number(spec.version);
}

/** Whether the server has a model of this name. */
export async function has(model) {
  try {
    await versionOf(model);
    return true;
  } catch (error) {
    if (error.status) return false;
    throw error;
  }
}

async function describe(path, count) {
  if (!descriptions.has(path)) {
    const answer = ask(`${path}:predict`, { signature_name: "describe", instances: [""] });
    descriptions.set(path, answer.then(({ predictions: [text] }) => JSON.parse(text).keypoints));
  }
  try {
    return await descriptions.get(path);
  } catch (error) {
    if (error.status !== 400) {
      descriptions.delete(path);
      throw error;
    }
    // A version from before models described themselves: its points are numbered.
    const names = Array.from({ length: count }, (_, number) => String(number));
    return { thing: "thing", keypoints: names, categories: { thing: { keypoints: names } }, pairs: [], lines: [] };
  }
}

/** Where `model` sees its points on a file in base64 whose picture is `width` x `height`.
 *
 * `points` are {x, y, v, score} in pixels of that picture, in the order of `about.keypoints`; v is 0 absent, 1 occluded,
 * 2 visible. The version is asked for by its number, and so is known even where REST's answers do not tell it.
 */
export async function predict(model, b64, { width, height }) {
  for (let attempt = 0; ; attempt += 1) {
    const version = await versionOf(model);
    const path = `v1/models/${model}/versions/${version}`;
    try {
      const started = performance.now();
      const { predictions: [found] } = await ask(`${path}:predict`, {
        signature_name: "serving_bytes",
        instances: [{ b64 }],
      });
      const milliseconds = performance.now() - started;
      const points = found.pred_v.map((v, index) => ({
        x: found.pred_x_ratio[index] * width,
        y: found.pred_y_ratio[index] * height,
        v,
        score: found.pred_score?.[index] ?? null,
      }));
      return { model, version, milliseconds, points, about: await describe(path, points.length) };
    } catch (error) {
      // Another version may serve since it was asked which one does.
      if (error.status !== 404 || attempt) throw error;
      versions.delete(model);
    }
  }
}

export const isThere = (point) => point.v !== ABSENT;
