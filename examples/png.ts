/** Writes pictures as PNG files, for the examples that draw. */
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

/** Writes rows of RGB bytes, each behind PNG's filter byte 0. */
export function writePng(path: string, width: number, height: number, rows: readonly Uint8Array[]): void {
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, 2], 8); // 8 bits a channel, RGB
  writeFileSync(
    path,
    Buffer.concat([
      new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      chunk("IHDR", header),
      chunk("IDAT", deflateSync(Buffer.concat(rows))),
      chunk("IEND", new Uint8Array(0)),
    ]),
  );
}

/** A part of a PNG file: length, name, content, check sum. */
function chunk(name: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
  return bytes;
}
