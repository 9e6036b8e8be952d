/**
 * Prepared statements. Parameters are copied into memory of the statement's own and bound without SQLite copying them again;
 * columns are copied out. No row is an object: rows are arrays, in the order of the columns.
 */
import { sqliteError } from "./sqlite_error.ts";
import { type SqliteModule, sqliteModule } from "./sqlite_wasm.ts";

/** What can be bound to a parameter, and what a column can hold. Integers beyond 2^53 come as bigints. */
export type Column = string | number | bigint | Uint8Array | null;

/** The columns of a row. */
export type Row = Column[];

const ROW = 100, DONE = 101;
const INTEGER = 1, FLOAT = 2, TEXT = 3, BLOB = 4;
/** Lets SQLite keep the statement for long. */
const PREPARE_PERSISTENT = 1;
/** Memory for parameters beyond this is given back after each use. */
const KEPT_BYTES = 65536;
/** Up to so many characters a loop is quicker than a call of TextEncoder or TextDecoder. */
const SHORT = 48;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a statement needs of its database. */
export interface StatementHome {
  readonly path: string;
  readonly timeout: number;
  /** SQLite's pointer; 0 once the database is closed. */
  readonly pointer: number;
  /** Told of each statement that is finalized. */
  forget?(statement: Statement): void;
}

/** A prepared statement. Use one at a time: starting it again ends an iteration that is under way. */
export class Statement {
  readonly #sqlite: SqliteModule = sqliteModule();
  readonly #home: StatementHome;
  readonly #pointer: number;
  readonly #columns: number;
  readonly #parameters: number;
  #memory = 0;
  #memoryBytes = 0;
  #open = true;

  constructor(home: StatementHome, readonly sql: string) {
    const { api } = this.#sqlite;
    this.#home = home;
    const text = this.#sqlite.newText(sql);
    const out = api.malloc(4);
    try {
      const result = api.sqlite3_prepare_v3(home.pointer, text, -1, PREPARE_PERSISTENT, out, 0);
      if (result !== 0) throw this.#error(result);
      this.#pointer = this.#sqlite.ints[out >> 2];
    } finally {
      api.free(text);
      api.free(out);
    }
    this.#columns = api.sqlite3_column_count(this.#pointer);
    this.#parameters = api.sqlite3_bind_parameter_count(this.#pointer);
  }

  /** The first row, or undefined if there is none. */
  get(...parameters: Column[]): Row | undefined {
    this.#bind(parameters);
    try {
      return this.#step() ? this.#row() : undefined;
    } finally {
      this.#end();
    }
  }

  /**
   * Goes to the first row for a text, the only parameter; whether there is one. Its columns are then asked for one by one, and
   * `done` has to follow in any case. For where every tenth of a microsecond counts.
   */
  seek(text: string): boolean {
    if (!this.#open) throw new Error(`${this.#home.path} is closed`);
    this.#makeRoom(3 * text.length + 1);
    const { api, bytes } = this.#sqlite;
    const length = putText(bytes, this.#memory, text);
    const result = api.sqlite3_bind_text(this.#pointer, 1, this.#memory, length, 0);
    if (result !== 0) throw this.#error(result);
    return this.#step();
  }

  /** Leaves the row that `seek` went to. */
  done(): void {
    this.#end();
  }

  /** A column of the row that is being read. */
  column(index: number): Column {
    return this.#column(index);
  }

  /** The same; bytes are a view of SQLite's memory, good until its next call. */
  view(index: number): Column {
    const { api, bytes } = this.#sqlite;
    if (api.sqlite3_column_type(this.#pointer, index) !== BLOB) return this.#column(index);
    const at = api.sqlite3_column_blob(this.#pointer, index);
    return bytes.subarray(at, at + api.sqlite3_column_bytes(this.#pointer, index));
  }

  /** A column of the row that is being read, as a number; 0 for NULL. */
  number(index: number): number {
    return this.#sqlite.api.sqlite3_column_double(this.#pointer, index);
  }

  /** All rows. */
  all(...parameters: Column[]): Row[] {
    const rows: Row[] = [];
    this.#bind(parameters);
    try {
      while (this.#step()) rows.push(this.#row());
      return rows;
    } finally {
      this.#end();
    }
  }

  /** Runs the statement for what it does. */
  run(...parameters: Column[]): void {
    this.#bind(parameters);
    try {
      while (this.#step());
    } finally {
      this.#end();
    }
  }

  /** Rows as they are asked for. Until the iteration ends the database is locked for reading: other processes cannot write. */
  *iterate(...parameters: Column[]): Generator<Row, void> {
    this.#bind(parameters);
    try {
      while (this.#step()) yield this.#row();
    } finally {
      this.#end();
    }
  }

  /** Gives the statement's memory back. Twice is no error. */
  finalize(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#sqlite.api.sqlite3_finalize(this.#pointer);
    this.#sqlite.api.free(this.#memory);
    this.#home.forget?.(this);
  }

  #error(result: number): Error {
    return sqliteError(result, this.#home.pointer, this.#home.path, this.#home.timeout);
  }

  #step(): boolean {
    const result = this.#sqlite.api.sqlite3_step(this.#pointer);
    if (result === ROW) return true;
    if (result === DONE) return false;
    throw this.#error(result);
  }

  #end(): void {
    // its code is that of the step, which has been thrown
    this.#sqlite.api.sqlite3_reset(this.#pointer);
    if (this.#memoryBytes > KEPT_BYTES) {
      this.#sqlite.api.free(this.#memory);
      this.#memory = this.#memoryBytes = 0;
    }
  }

  #bind(parameters: readonly Column[]): void {
    if (!this.#open) throw new Error(`${this.#home.path} is closed`);
    if (parameters.length !== this.#parameters) {
      throw new TypeError(`${this.sql}: ${parameters.length} parameters for ${this.#parameters}`);
    }
    const { api } = this.#sqlite;
    const statement = this.#pointer;
    this.#reserve(parameters);
    let at = this.#memory;
    for (let i = 0; i < parameters.length; i++) {
      const value = parameters[i];
      let result: number;
      switch (typeof value) {
        case "string": {
          const bytes = putText(this.#sqlite.bytes, at, value);
          result = api.sqlite3_bind_text(statement, i + 1, at, bytes, 0);
          at += bytes;
          break;
        }
        case "number":
          if (Object.is(value, -0) || !Number.isSafeInteger(value)) {
            result = api.sqlite3_bind_double(statement, i + 1, value);
          } else if ((value | 0) === value) {
            result = api.sqlite3_bind_int(statement, i + 1, value);
          } else {
            result = api.sqlite3_bind_int64(statement, i + 1, BigInt(value));
          }
          break;
        case "bigint":
          result = api.sqlite3_bind_int64(statement, i + 1, value);
          break;
        default:
          if (value === null) {
            result = api.sqlite3_bind_null(statement, i + 1);
          } else {
            this.#sqlite.bytes.set(value, at);
            result = api.sqlite3_bind_blob(statement, i + 1, at, value.length, 0);
            at += value.length;
          }
      }
      if (result !== 0) throw this.#error(result);
    }
  }

  /** Makes room for the texts and blobs among the parameters. */
  #reserve(parameters: readonly Column[]): void {
    let bytes = 1; // an empty blob at a null pointer would be NULL
    for (let i = 0; i < parameters.length; i++) {
      const value = parameters[i];
      if (typeof value === "string") bytes += 3 * value.length;
      else if (typeof value === "object" && value !== null) bytes += value.length;
    }
    this.#makeRoom(bytes);
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#memoryBytes) return;
    const { api } = this.#sqlite;
    api.free(this.#memory);
    this.#memoryBytes = Math.max(bytes, 1024);
    this.#memory = api.malloc(this.#memoryBytes);
    if (this.#memory === 0) {
      this.#memoryBytes = 0;
      throw new RangeError(`${this.#home.path}: no memory for parameters of ${bytes} bytes`);
    }
  }

  #row(): Row {
    const row: Row = new Array(this.#columns);
    for (let i = 0; i < this.#columns; i++) row[i] = this.#column(i);
    return row;
  }

  #column(index: number): Column {
    const { api } = this.#sqlite;
    const statement = this.#pointer;
    switch (api.sqlite3_column_type(statement, index)) {
      case INTEGER: {
        const value = api.sqlite3_column_double(statement, index);
        return Number.isSafeInteger(value) ? value : api.sqlite3_column_int64(statement, index);
      }
      case FLOAT:
        return api.sqlite3_column_double(statement, index);
      case TEXT: {
        const at = api.sqlite3_column_text(statement, index);
        return getText(this.#sqlite.bytes, at, api.sqlite3_column_bytes(statement, index));
      }
      case BLOB: {
        const at = api.sqlite3_column_blob(statement, index);
        return this.#sqlite.bytes.slice(at, at + api.sqlite3_column_bytes(statement, index));
      }
      default:
        return null;
    }
  }
}

function putText(bytes: Uint8Array, at: number, text: string): number {
  const { length } = text;
  if (length <= SHORT) {
    let i = 0;
    for (let unit; i < length && (unit = text.charCodeAt(i)) < 128; i++) bytes[at + i] = unit;
    if (i === length) return length;
  }
  return encoder.encodeInto(text, bytes.subarray(at)).written;
}

function getText(bytes: Uint8Array, at: number, length: number): string {
  if (length <= SHORT) {
    let text = "";
    let i = 0;
    for (let unit; i < length && (unit = bytes[at + i]) < 128; i++) text += String.fromCharCode(unit);
    if (i === length) return text;
  }
  return decoder.decode(bytes.subarray(at, at + length));
}
