/**
 * The client's side of SFTP version 3 (draft-ietf-secsh-filexfer-02, with OpenSSH's `posix-rename` and `hardlink`),
 * over whatever carries bytes to a host's SFTP subsystem. Requests are numbered and may overlap; the caller decides how
 * many are under way. Names are as in copy_tar.ts: every byte survives.
 */
import type { RemoteEvents, RemoteProcess } from "./connection.ts";
import { SshError } from "./connection.ts";
import { decodeName, encodeName } from "./copy_tar.ts";

/** What the server knows of a file. Absent is what it did not say. */
export interface SftpStats {
  size: number;
  /** Type and permission bits, as `st_mode`. */
  mode: number;
  /** Seconds since 1970. */
  mtime: number;
}

/** What can be changed of a file. */
export type SftpChanges = { mode?: number; mtime?: number };

/** The server refused; `code` is SFTP's. */
export class SftpError extends Error {
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** Nothing is there. */
export const NO_SUCH_FILE = 2;

/** How to open a file. */
export const READ = 1, WRITE = 2, CREATE = 8, EXCLUSIVE = 32;

const INIT = 1,
  VERSION = 2,
  OPEN = 3,
  CLOSE = 4,
  READ_DATA = 5,
  WRITE_DATA = 6,
  LSTAT = 7,
  SETSTAT = 9,
  OPENDIR = 11;
const READDIR = 12, REMOVE = 13, MKDIR = 14, RMDIR = 15, REALPATH = 16, STAT = 17, RENAME = 18, READLINK = 19;
const SYMLINK = 20, STATUS = 101, HANDLE = 102, DATA = 103, NAME = 104, ATTRS = 105, EXTENDED = 200;
const END_OF_FILE = 1;
const LONGEST_PACKET = 1 << 20;

/** What a code of the server means, in the words of the system call that failed. */
const MEANINGS: Record<number, string> = {
  2: "No such file or directory",
  3: "Permission denied",
  8: "the server does not know this request",
};

/** A session with an SFTP server. */
export class SftpClient {
  readonly #process: RemoteProcess;
  readonly #waiting = new Map<number, { resolve(packet: Packet): void; reject(error: Error): void }>();
  #buffer = new Uint8Array();
  #next = 0;
  #over: Error | undefined;
  #tellReady!: (error?: Error) => void;
  readonly #extensions = new Set<string>();
  readonly #ready: Promise<void>;
  readonly #ended: Promise<void>;

  private constructor(start: (events: RemoteEvents) => RemoteProcess) {
    this.#ready = new Promise((resolve, reject) =>
      this.#tellReady = (error) => error ? reject(error) : resolve()
    );
    let tellEnd: () => void;
    this.#ended = new Promise((resolve) => tellEnd = resolve);
    this.#process = start({
      stdout: (bytes) => this.#receive(bytes),
      stderr() {},
      exit: (end) => {
        this.#fail(end instanceof SshError ? end : new Error("the SFTP server ended the session"));
        tellEnd();
      },
    });
  }

  /**
   * Begins a session; `start` opens the subsystem.
   *
   * @throws {Error} If there is no SFTP server, or none of version 3 or above.
   */
  static async open(start: (events: RemoteEvents) => RemoteProcess): Promise<SftpClient> {
    const client = new SftpClient(start);
    client.#process.write(Uint8Array.of(0, 0, 0, 5, INIT, 0, 0, 0, 3));
    await client.#ready;
    return client;
  }

  /** Ends the session. */
  async close(): Promise<void> {
    this.#process.closeInput();
    const timer = setTimeout(() => this.#process.kill("SIGTERM"), 1_000);
    await this.#ended;
    clearTimeout(timer);
  }

  stat(path: string): Promise<SftpStats> {
    return this.#attrs(STAT, path);
  }

  lstat(path: string): Promise<SftpStats> {
    return this.#attrs(LSTAT, path);
  }

  async open(path: string, flags: number, mode?: number): Promise<Uint8Array> {
    const body = new Writer().text(path).u32(flags).attrs(mode === undefined ? {} : { mode });
    return (await this.#ask(OPEN, body, HANDLE)).bytes();
  }

  async closeFile(handle: Uint8Array): Promise<void> {
    await this.#ask(CLOSE, new Writer().bytes(handle), STATUS);
  }

  /** At most so many bytes; undefined at the end of the file. */
  async read(handle: Uint8Array, offset: number, length: number): Promise<Uint8Array | undefined> {
    const body = new Writer().bytes(handle).u64(offset).u32(length);
    return await atEnd(async () => (await this.#ask(READ_DATA, body, DATA)).bytes());
  }

  async write(handle: Uint8Array, offset: number, data: Uint8Array): Promise<void> {
    await this.#ask(WRITE_DATA, new Writer(data.length + 300).bytes(handle).u64(offset).bytes(data), STATUS);
  }

  async setstat(path: string, changes: SftpChanges): Promise<void> {
    await this.#ask(SETSTAT, new Writer().text(path).attrs(changes), STATUS);
  }

  async opendir(path: string): Promise<Uint8Array> {
    return (await this.#ask(OPENDIR, new Writer().text(path), HANDLE)).bytes();
  }

  /** Some of what is in a folder, links not followed; undefined when that was all. */
  async readdir(handle: Uint8Array): Promise<{ name: string; stats: SftpStats }[] | undefined> {
    return await atEnd(async () => {
      const packet = await this.#ask(READDIR, new Writer().bytes(handle), NAME);
      return Array.from({ length: packet.u32() }, () => {
        const name = packet.text();
        packet.bytes(); // a line for people
        return { name, stats: packet.attrs() };
      });
    });
  }

  async mkdir(path: string, mode: number): Promise<void> {
    await this.#ask(MKDIR, new Writer().text(path).attrs({ mode }), STATUS);
  }

  async rmdir(path: string): Promise<void> {
    await this.#ask(RMDIR, new Writer().text(path), STATUS);
  }

  async remove(path: string): Promise<void> {
    await this.#ask(REMOVE, new Writer().text(path), STATUS);
  }

  /** Renames in place of what is there, in one step where the server can. */
  async rename(from: string, to: string): Promise<void> {
    const name = "posix-rename@openssh.com";
    if (this.#extensions.has(name)) {
      await this.#ask(EXTENDED, new Writer().text(name).text(from).text(to), STATUS);
      return;
    }
    await this.remove(to).catch(() => {}); // rename tells if it is still in the way
    await this.#ask(RENAME, new Writer().text(from).text(to), STATUS);
  }

  async readlink(path: string): Promise<string> {
    return await this.#name(READLINK, path);
  }

  /** The absolute path, links followed. */
  async realpath(path: string): Promise<string> {
    return await this.#name(REALPATH, path);
  }

  async symlink(target: string, path: string): Promise<void> {
    await this.#ask(SYMLINK, new Writer().text(target).text(path), STATUS); // in OpenSSH's order, which all follow
  }

  async hardlink(existing: string, path: string): Promise<void> {
    await this.#ask(EXTENDED, new Writer().text("hardlink@openssh.com").text(existing).text(path), STATUS);
  }

  async #name(type: number, path: string): Promise<string> {
    const packet = await this.#ask(type, new Writer().text(path), NAME);
    packet.u32();
    return packet.text();
  }

  async #attrs(type: number, path: string): Promise<SftpStats> {
    return (await this.#ask(type, new Writer().text(path), ATTRS)).attrs();
  }

  async #ask(type: number, body: Writer, expected: number): Promise<Packet> {
    if (this.#over) throw this.#over;
    const id = this.#next++ >>> 0;
    const answer = new Promise<Packet>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    answer.catch(() => {}); // heard below
    await this.#process.write(body.packet(type, id));
    const packet = await answer;
    if (packet.type === expected && expected !== STATUS) return packet;
    if (packet.type !== STATUS) {
      throw new Error(`the SFTP server gave an answer of type ${packet.type}, not ${expected}`);
    }
    const code = packet.u32();
    if (code === 0 && expected === STATUS) return packet;
    throw new SftpError(code, MEANINGS[code] ?? packet.text());
  }

  #receive(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#buffer.length + bytes.length);
    joined.set(this.#buffer);
    joined.set(bytes, this.#buffer.length);
    let at = 0;
    while (joined.length - at >= 4) {
      const length = new DataView(joined.buffer).getUint32(at);
      if (length === 0 || length > LONGEST_PACKET) {
        this.#fail(new Error("what answers is no SFTP server"));
        this.#process.kill("SIGTERM");
        return;
      }
      if (joined.length - at < 4 + length) break;
      this.#take(joined.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.#buffer = joined.subarray(at);
  }

  #take(bytes: Uint8Array): void {
    const packet = new Packet(bytes);
    const id = packet.u32();
    if (packet.type === VERSION) {
      if (id < 3) return this.#tellReady(new Error(`the SFTP server speaks version ${id}; 3 is needed`));
      while (packet.left > 0) {
        this.#extensions.add(packet.text());
        packet.bytes();
      }
      return this.#tellReady();
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve(packet);
  }

  #fail(error: Error): void {
    this.#over ??= error;
    this.#tellReady(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

async function atEnd<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SftpError && error.code === END_OF_FILE) return undefined;
    throw error;
  }
}

const SIZE = 1, OWNER = 2, PERMISSIONS = 4, TIMES = 8;

/** A packet that came. */
class Packet {
  readonly type: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 1;

  constructor(bytes: Uint8Array) {
    this.type = bytes[0];
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  u64(): number {
    return this.u32() * 2 ** 32 + this.u32();
  }

  bytes(): Uint8Array {
    const length = this.u32();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return decodeName(this.bytes());
  }

  attrs(): SftpStats {
    const flags = this.u32();
    const size = flags & SIZE ? this.u64() : 0;
    if (flags & OWNER) this.#at += 8;
    const mode = flags & PERMISSIONS ? this.u32() : 0;
    let mtime = 0;
    if (flags & TIMES) {
      this.#at += 4;
      mtime = this.u32();
    }
    if (flags & 0x80000000) {
      for (let count = this.u32(); count > 0; count--) {
        this.bytes();
        this.bytes();
      }
    }
    return { size, mode, mtime };
  }
}

/** A packet that is being written. */
class Writer {
  #bytes: Uint8Array;
  #at = 9;

  constructor(room = 512) {
    this.#bytes = new Uint8Array(room);
  }

  u32(value: number): this {
    this.#reserve(4);
    new DataView(this.#bytes.buffer).setUint32(this.#at, value);
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);
  }

  bytes(value: Uint8Array): this {
    this.u32(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  text(value: string): this {
    return this.bytes(encodeName(value));
  }

  attrs({ mode, mtime }: SftpChanges): this {
    this.u32((mode === undefined ? 0 : PERMISSIONS) | (mtime === undefined ? 0 : TIMES));
    if (mode !== undefined) this.u32(mode);
    if (mtime !== undefined) this.u32(Math.floor(mtime)).u32(Math.floor(mtime));
    return this;
  }

  packet(type: number, id: number): Uint8Array {
    const view = new DataView(this.#bytes.buffer);
    view.setUint32(0, this.#at - 4);
    view.setUint8(4, type);
    view.setUint32(5, id);
    return this.#bytes.subarray(0, this.#at);
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#at + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
