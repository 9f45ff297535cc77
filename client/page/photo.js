/** From a file to a picture on the page, and to what the model's server is sent and a data set keeps. */

const MOST_BYTES = 48 * 2 ** 20;
const MOST_PIXELS = 64_000_000;
/** Of a file that is sent as it is, and the longer side of a picture that has to be made anew. */
const MOST_SENT = 12 * 2 ** 20;
const SIDE = 1536;

/** Throws an Error for what is no picture, or too large. */
export async function open(blob, name) {
  if (blob.size > MOST_BYTES) throw new Error(`${name}: ${megabytes(blob.size)}; at most ${megabytes(MOST_BYTES)} are accepted.`);
  const url = URL.createObjectURL(blob);
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      image.src = url;
    });
    const { naturalWidth: width, naturalHeight: height } = image;
    if (width * height > MOST_PIXELS) throw new Error(`${name}: ${width} × ${height} pixels; at most 64 million are accepted.`);
    if (!width || !height) throw new Error();
    return { name, blob, url, image, width, height };
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error.message ? error : new Error(`${name}: not an image that this browser can read.`);
  }
}

const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;

/** The file as it is on disk where the model's decoder reads it as people see it; otherwise an upright PNG. */
export async function toSend(photo) {
  const bytes = new Uint8Array(await photo.blob.arrayBuffer());
  const plain = bytes.length <= MOST_SENT && (isPlainJpeg(bytes) || isPlainPng(bytes));
  return base64(plain ? photo.blob : await redrawn(photo, "image/png", SIDE));
}

/** The file as it is where training reads its kind, otherwise a JPEG of the picture. */
export async function toKeep(photo) {
  const start = new Uint8Array(await photo.blob.slice(0, 12).arrayBuffer());
  const suffix = suffixOf(start);
  return suffix ? { blob: photo.blob, suffix } : { blob: await redrawn(photo, "image/jpeg"), suffix: "jpg" };
}

function suffixOf(start) {
  const text = String.fromCharCode(...start);
  if (text.startsWith("\xff\xd8\xff")) return "jpg";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  return text.startsWith("RIFF") && text.endsWith("WEBP") ? "webp" : "";
}

/** Upright, on white, no longer than `side`. */
function redrawn({ image, width, height }, type, side = Infinity) {
  const factor = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
}

export async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

/** A JPEG in grey or colour that no EXIF entry turns. */
function isPlainJpeg(bytes) {
  const view = new DataView(bytes.buffer);
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8 || view.getUint16(bytes.length - 2) !== 0xffd9) return false;
  for (let at = 2; at + 10 < bytes.length; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    if (marker >> 8 !== 0xff) return false;
    if (marker === 0xffe1 && orientation(view, at + 4) !== 1) return false;
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (isFrame) return [1, 3].includes(bytes[at + 9]);
  }
  return false;
}

/** What the EXIF block that begins here says of the orientation; 1, upright, where it says nothing. */
function orientation(view, at) {
  try {
    if (view.getUint32(at) !== 0x45786966) return 1; // "Exif"
    const start = at + 6;
    const little = view.getUint16(start) === 0x4949;
    const entries = start + view.getUint32(start + 4, little);
    for (let number = 0; number < view.getUint16(entries, little); number += 1) {
      const entry = entries + 2 + 12 * number;
      if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
    }
  } catch {
    return 0; // broken: let the browser decide what is up
  }
  return 1;
}

/** A PNG of 8 bits in grey or colour, with nothing in it that turns it, moves or lets light through. */
function isPlainPng(bytes) {
  const view = new DataView(bytes.buffer);
  if (suffixOf(bytes.subarray(0, 12)) !== "png" || bytes.length < 33) return false;
  if (bytes[24] !== 8 || ![0, 2].includes(bytes[25])) return false;
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (["tRNS", "eXIf", "acTL"].includes(kind)) return false;
    if (kind === "IEND") return at + 12 === bytes.length;
  }
  return false;
}
