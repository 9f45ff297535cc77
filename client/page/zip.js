/** A ZIP file whose entries are stored as they are: photos are compressed already. */

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
const VERSION = 20;
const UTF8 = 0x0800;
const ENTRY = "SSSSSIIISS";

/** `entries` are {name, blob}, of less than 4 GB together. */
export async function zip(entries) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, blob } of entries) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const path = new TextEncoder().encode(name);
    const about = [VERSION, UTF8, 0, ...dosTime(new Date()), crc32(bytes), bytes.length, bytes.length, path.length, 0];
    const local = record(0x04034b50, ENTRY, about);
    directory.push(record(0x02014b50, `S${ENTRY}SSSII`, [VERSION, ...about, 0, 0, 0, 0, offset]), path);
    parts.push(local, path, blob);
    offset += local.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record(0x06054b50, "SSSSIIS", [0, 0, entries.length, entries.length, size, offset, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A signature, then each value in 2 (S) or 4 (I) bytes, the lowest first. */
function record(signature, kinds, values) {
  const bytes = new Uint8Array(4 + [...kinds].reduce((sum, kind) => sum + (kind === "S" ? 2 : 4), 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  [...kinds].forEach((kind, number) => {
    if (kind === "S") view.setUint16(at, values[number], true);
    else view.setUint32(at, values[number], true);
    at += kind === "S" ? 2 : 4;
  });
  return bytes;
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const dosTime = (now) => [
  (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1),
  ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate(),
];
