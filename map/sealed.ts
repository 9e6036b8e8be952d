/**
 * A stream of bytes over a network that is not trusted, between two sides that share a key.
 *
 * The client sends 32 random bytes and a code over them; the server, if the code is right, 32 random bytes of its
 * own. From the key and both, each direction gets a key of its own, and what follows are records: a length (u32,
 * little endian, at most 64 KiB of contents), then the contents encrypted with ChaCha20-Poly1305 under the number of the
 * record. The first record of each side says who it is, so neither sends anything of use before the other has
 * shown that it knows the key. Anything wrong closes the stream without a word; to who does not know the key, the
 * server sends not one byte (32 random ones to who repeats a beginning that he recorded).
 *
 * This keeps contents secret and shows that they are whole, in order, not said before, and from who knows the
 * key. It does not hide their lengths or times, does not show that an end was meant (who can cut the line can end
 * the stream), and has no forward secrecy: who learns the key later can read what was recorded.
 */
import type { ByteSocket } from "../runtime/mod.ts";
import { concat, equalInConstantTime, gather } from "../runtime/mod.ts";
import {
  codeOf,
  decrypt,
  encrypt,
  IV_BYTES,
  KEY_BYTES,
  randomBytes,
  type SharedKey,
  TAG_BYTES,
} from "./shared_key.ts";

/** How long the two sides may take to know each other, in milliseconds. */
export const HANDSHAKE_MS = 5000;
/** Longest contents of a record, in bytes. */
const MAX_RECORD = 1 << 16;
const LENGTH_BYTES = 4;
const FIRST_RECORD = { client: "pathos client", server: "pathos server" };

/**
 * Makes an encrypted stream of a plain one.
 *
 * @returns A stream as soon as the other side has shown that it knows the key.
 * @throws {Error} If it does not within {@linkcode HANDSHAKE_MS}; the plain stream is then closed.
 */
export function seal(socket: ByteSocket, key: SharedKey, role: "client" | "server"): Promise<ByteSocket> {
  return new Promise((resolve, reject) => {
    const helloKey = key.derive("hello");
    const own = randomBytes(KEY_BYTES);
    const helloBytes = role === "server" ? 2 * KEY_BYTES : KEY_BYTES; // of the other side
    let rest: Uint8Array = new Uint8Array(0);
    let directions: { send: Direction; receive: Direction } | undefined;
    let known = false;
    let over: { error: Error | undefined } | undefined;
    let events: Parameters<ByteSocket["listen"]>[0] | undefined;

    const fail = (error: Error): void => {
      if (over) return;
      clearTimeout(timer);
      over = { error };
      socket.destroy();
      reject(error);
      events?.closed(error);
    };
    const timer = setTimeout(
      () => fail(new Error(`the other side did not show within ${HANDSHAKE_MS} ms that it knows the key`)),
      HANDSHAKE_MS,
    );

    function greet(): void {
      if (role === "client") socket.write([own, codeOf(helloKey, own)]);
      else socket.write([own]);
    }

    function meet(hello: Uint8Array): void {
      const other = hello.slice(0, KEY_BYTES);
      if (role === "server") {
        if (!equalInConstantTime(hello.subarray(KEY_BYTES), codeOf(helloKey, other))) {
          throw new Error(STRANGER);
        }
        greet();
      }
      const salt = new Uint8Array(2 * KEY_BYTES);
      salt.set(role === "client" ? own : other);
      salt.set(role === "client" ? other : own, KEY_BYTES);
      const toServer = newDirection(key.derive("client to server", salt));
      const toClient = newDirection(key.derive("server to client", salt));
      directions = role === "client"
        ? { send: toServer, receive: toClient }
        : { send: toClient, receive: toServer };
      if (role === "client") sendRecords(new TextEncoder().encode(FIRST_RECORD.client));
    }

    function meetFirst(contents: Uint8Array): void {
      const expected = FIRST_RECORD[role === "client" ? "server" : "client"];
      if (new TextDecoder().decode(contents) !== expected) throw new Error(STRANGER);
      if (role === "server") sendRecords(new TextEncoder().encode(FIRST_RECORD.server));
      known = true;
      clearTimeout(timer);
      resolve(sealed);
    }

    function sendRecords(bytes: Uint8Array): void {
      for (let at = 0; at < bytes.byteLength && !over; at += MAX_RECORD) {
        const [contents, tag] = encrypt(
          directions!.send.key,
          directions!.send.nextIv(),
          bytes.subarray(at, at + MAX_RECORD),
        );
        const head = new Uint8Array(LENGTH_BYTES);
        new DataView(head.buffer).setUint32(0, contents.byteLength, true);
        socket.write([head, contents, tag]);
      }
    }

    /** Takes the next part of `rest`, if all of it is there and it is known what to do with it. */
    function step(): boolean {
      if (over || (known && !events)) return false;
      if (!directions) {
        if (rest.byteLength < helloBytes) return false;
        const hello = rest.subarray(0, helloBytes);
        rest = rest.subarray(helloBytes);
        meet(hello);
        return true;
      }
      if (rest.byteLength < LENGTH_BYTES) return false;
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(0, true);
      const most = known ? MAX_RECORD : FIRST_RECORD.client.length;
      if (length < 1 || length > most) throw new Error(known ? TAMPERED : STRANGER);
      const end = LENGTH_BYTES + length + TAG_BYTES;
      if (rest.byteLength < end) return false;
      const record = rest.subarray(LENGTH_BYTES, end);
      rest = rest.subarray(end);
      let contents: Uint8Array;
      try {
        contents = decrypt(directions.receive.key, directions.receive.nextIv(), record);
      } catch {
        throw new Error(known ? TAMPERED : STRANGER);
      }
      if (known) events!.data(contents);
      else meetFirst(contents);
      return true;
    }

    function proceed(): void {
      try {
        while (step());
      } catch (error) {
        fail(error as Error);
      }
    }

    const write = gather((bytes) => sendRecords(bytes));
    const sealed: ByteSocket = {
      write,
      listen(given) {
        events = given;
        proceed();
        if (over) queueMicrotask(() => given.closed(over!.error));
      },
      end: () => queueMicrotask(() => socket.end()), // after what was written in this turn
      destroy() {
        socket.destroy();
      },
      keepAlive: (on) => socket.keepAlive(on),
    };
    socket.listen({
      data(bytes) {
        if (over) return;
        rest = rest.byteLength === 0 ? bytes : concat([rest, bytes]);
        proceed();
      },
      closed(error) {
        if (over) return;
        clearTimeout(timer);
        over = { error };
        reject(error ?? new Error("the other side closed the connection: it may have another key"));
        events?.closed(error);
      },
    });
    if (role === "client") greet();
  });
}

const STRANGER = "the other side does not know the key, or something between changed what it said";
const TAMPERED = "something between changed what the other side said";

interface Direction {
  readonly key: Uint8Array;
  /** A new one for each record. */
  nextIv(): Uint8Array;
}

function newDirection(key: Uint8Array): Direction {
  let number = 0n;
  return {
    key,
    nextIv() {
      const iv = new Uint8Array(IV_BYTES);
      new DataView(iv.buffer).setBigUint64(IV_BYTES - 8, number++);
      return iv;
    },
  };
}
