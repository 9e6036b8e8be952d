/**
 * Looks into live functions and objects through V8's own inspector, in this very thread and synchronously.
 *
 * Guarantees: values come back alive, with their identity; nothing is kept after a call; the console domain is
 * never switched on. It cannot see `this`, `super` or `new.target` of a closure, and scope objects are copies: writing to
 * them changes nothing.
 *
 * Deno dispatches synchronously but queues replies with `process.nextTick`, so that function is held while a message
 * is posted and its queue is run by hand. Under Node the reply has already arrived.
 */
import { builtin } from "../runtime/mod.ts";
import type { CodeFunction } from "./types.ts";

interface InspectorSession {
  connect(): void;
  disconnect(): void;
  post(method: string, params: object, done: (error: unknown, reply: unknown) => void): void;
  on(event: string, listener: (message: { params: Record<string, unknown> }) => void): void;
}

interface RemoteObject {
  type: string;
  objectId?: string;
  value?: unknown;
  unserializableValue?: string;
}

interface RemoteProperty {
  name: string;
  value?: RemoteObject;
}

interface RemoteProperties {
  result: RemoteProperty[];
  internalProperties?: RemoteProperty[];
  privateProperties?: RemoteProperty[];
}

/** Where V8 found a function: zero-based. */
export interface Location {
  scriptId: string;
  line: number;
  column: number;
}

/** One scope around a function. `object` is a copy of its variables; reading one that is uninitialised may throw. */
export interface LiveScope {
  description: string;
  object: Record<string, unknown>;
}

/** What the inspector tells about a function. */
export interface Inspected {
  location: Location | undefined;
  /** Innermost first. */
  scopes: LiveScope[];
}

const drop = Symbol.for("pathos.inspector");
const cell: { input: unknown; output: unknown } = { input: undefined, output: undefined };
const group = "pathos";
const inputExpression = 'globalThis[Symbol.for("pathos.inspector")].input';
const keepThis = 'function () { globalThis[Symbol.for("pathos.inspector")].output = this; }';
const keepArguments = 'function (...values) { globalThis[Symbol.for("pathos.inspector")].output = values; }';

let session: InspectorSession | undefined;
let failure: string | undefined;
let ticker: { nextTick: (callback: (...args: unknown[]) => void, ...args: unknown[]) => void };
const urls = new Map<string, string>();
const chunks: string[] = [];

/** Whether scopes can be read here, and if not, why. The first call connects. */
export function inspectorProblem(): string | undefined {
  if (session || failure !== undefined) return failure;
  try {
    ticker = builtin<typeof ticker>("node:process");
    const opened = new (builtin<{ Session: new () => InspectorSession }>("node:inspector")).Session();
    session = opened;
    Object.defineProperty(globalThis, drop, { value: cell, enumerable: false, configurable: true });
    opened.on("Debugger.scriptParsed", ({ params }) => urls.set(String(params.scriptId), String(params.url)));
    opened.on("HeapProfiler.addHeapSnapshotChunk", ({ params }) => chunks.push(String(params.chunk)));
    // From text, so that no bundler inlines the variable away.
    const probe = new Function("seen", "return () => seen")(cell);
    const found = inspectFunctions([probe])[0].scopes.some((scope) => scope.object?.seen === cell);
    if (!found) throw new Error("this V8 does not list the scopes of functions");
  } catch (error) {
    session = undefined;
    failure = (error as Error)?.name === "NotCapable"
      ? "reading captured variables needs the permission --allow-sys"
      : `V8's inspector is not to be had here (${(error as Error)?.message ?? error})`;
  }
  return failure;
}

/** Sends a message and returns the reply; with `eventually`, one that is answered later but has had its effect. */
function post<T>(method: string, params: object, eventually = false): T {
  let reply: unknown;
  let failed: unknown;
  let done = false;
  const queue: (() => void)[] = [];
  const nextTick = ticker.nextTick;
  ticker.nextTick = (callback, ...args) => void queue.push(() => callback(...args));
  try {
    session!.post(method, params, (error, result) => {
      failed = error;
      reply = result;
      done = true;
    });
    for (let i = 0; i < queue.length; i++) queue[i]();
  } finally {
    ticker.nextTick = nextTick;
  }
  if (!done && !eventually) throw new Error(`V8's inspector did not answer ${method} at once`);
  if (failed) throw new Error(`${method}: ${(failed as Error).message ?? JSON.stringify(failed)}`);
  return reply as T;
}

function handleOf(value: unknown): string {
  cell.input = value;
  const { result } = post<{ result: RemoteObject }>("Runtime.evaluate", {
    expression: inputExpression,
    objectGroup: group,
    silent: true,
  });
  cell.input = undefined;
  return result.objectId!;
}

function propertiesOf(objectId: string): RemoteProperties {
  return post<RemoteProperties>("Runtime.getProperties", { objectId, ownProperties: true });
}

let open = 0;

/**
 * Connects for the time of one question. In Deno a worker takes half a second longer to start while a session
 * is connected, so none may stay; connecting takes 5 us, and disconnecting drops all handles.
 */
function connected<T>(ask: () => T): T {
  if (open === 0) session!.connect();
  open++;
  try {
    return ask();
  } finally {
    if (--open === 0) session!.disconnect();
  }
}

function taken(): unknown {
  const output = cell.output;
  cell.output = undefined;
  return output;
}

/** Turns remote handles and primitives into live values, all in one message. */
function liveValues(objectId: string, remote: RemoteObject[]): unknown[] {
  post("Runtime.callFunctionOn", {
    objectId,
    arguments: remote.map(({ objectId, value, unserializableValue, type }) =>
      objectId
        ? { objectId }
        : unserializableValue
        ? { unserializableValue }
        : type === "undefined"
        ? {}
        : { value }
    ),
    functionDeclaration: keepArguments,
    silent: true,
  });
  return taken() as unknown[];
}

/** The inspector's list is array-like, without methods. */
function scopeList(live: unknown): LiveScope[] {
  return Array.prototype.slice.call(live) as LiveScope[];
}

/** Locations and scopes of functions. A function that has none (native, bound) gets an empty list. */
export function inspectFunctions(functions: readonly CodeFunction[]): Inspected[] {
  return connected(() => {
    const found: Inspected[] = [];
    const lists: RemoteObject[] = [];
    const owners: number[] = [];
    let anchor = "";
    for (const fn of functions) {
      const id = anchor = handleOf(fn);
      const inspected: Inspected = { location: undefined, scopes: [] };
      for (const { name, value } of propertiesOf(id).internalProperties ?? []) {
        if (name === "[[Scopes]]") {
          lists.push(value!);
          owners.push(found.length);
        } else if (name === "[[FunctionLocation]]") {
          const at = value!.value as { scriptId: string; lineNumber: number; columnNumber: number };
          inspected.location = { scriptId: at.scriptId, line: at.lineNumber, column: at.columnNumber };
        }
      }
      found.push(inspected);
    }
    if (lists.length === 1) {
      post("Runtime.callFunctionOn", {
        objectId: lists[0].objectId,
        functionDeclaration: keepThis,
        silent: true,
      });
      found[owners[0]].scopes = scopeList(taken());
    } else if (lists.length) {
      const live = liveValues(anchor, lists);
      owners.forEach((owner, i) => found[owner].scopes = scopeList(live[i]));
    }
    return found;
  });
}

/** Target, `this` and arguments of a bound function, or undefined if it is not one. */
export function boundParts(
  fn: CodeFunction,
): { target: CodeFunction; self: unknown; args: unknown[] } | undefined {
  return connected(() => {
    const id = handleOf(fn);
    const parts = new Map(propertiesOf(id).internalProperties?.map((p) => [p.name, p.value!]));
    if (!parts.has("[[TargetFunction]]")) return undefined;
    const names = ["[[TargetFunction]]", "[[BoundThis]]", "[[BoundArgs]]"];
    const [target, self, args] = liveValues(id, names.map((name) => parts.get(name)!));
    return { target: target as CodeFunction, self, args: Array.from(args as unknown[]) };
  });
}

/** Private fields of an object or private static fields of a class: name with `#`, in order of definition. */
export function privateFields(owner: object): [name: string, value: unknown][] {
  return connected(() => {
    const id = handleOf(owner);
    const fields = (propertiesOf(id).privateProperties ?? []).filter((p) => p.value !== undefined);
    if (fields.length === 0) return [];
    const values = liveValues(id, fields.map((p) => p.value!));
    return fields.map((p, i) => [p.name, values[i]]);
  });
}

let learnt = false;

/**
 * Learns the scripts of the functions that are running, once in a program. V8 names at most ten of them, so that this
 * spares the first dump the listing of all scripts only if it is called close to the user's own function.
 */
export function learnCallers(): void {
  if (learnt || inspectorProblem() !== undefined) return;
  learnt = true;
  connected(() => {
    for (const { scriptId, url } of runningScripts()) urls.set(scriptId, url);
  });
}

function runningScripts(): { scriptId: string; url: string }[] {
  const { exceptionDetails } = post<
    { exceptionDetails?: { stackTrace?: { callFrames: { scriptId: string; url: string }[] } } }
  >("Runtime.evaluate", { expression: "throw 0", silent: true });
  return exceptionDetails?.stackTrace?.callFrames ?? [];
}

/**
 * URL of a script, or "" for code without one.
 *
 * Switching the debugger on lists all scripts, but costs 4 to 30 ms. A stack trace names the scripts that are
 * running now, which usually include the caller's module.
 */
export function scriptUrl(scriptId: string): string {
  if (!urls.has(scriptId)) {
    connected(() => {
      for (const running of runningScripts()) urls.set(running.scriptId, running.url);
      if (urls.has(scriptId)) return;
      post("Debugger.enable", {});
      post("Debugger.disable", {});
    });
  }
  if (!urls.has(scriptId)) urls.set(scriptId, "");
  return urls.get(scriptId)!;
}

/** Source text of a script as V8 runs it: types erased. */
export function scriptSource(scriptId: string): string {
  return connected(() => {
    post("Debugger.enable", {});
    return post<{ scriptSource: string }>("Debugger.getScriptSource", { scriptId }).scriptSource;
  });
}

/** Identities of functions in a heap snapshot. */
export function heapIds(fns: readonly CodeFunction[]): number[] {
  return connected(() => {
    return fns.map((fn) =>
      Number(
        post<{ heapSnapshotObjectId: string }>("HeapProfiler.getHeapObjectId", { objectId: handleOf(fn) })
          .heapSnapshotObjectId,
      )
    );
  });
}

/** A heap snapshot as text, with identities asked for while objects are being tracked. */
export function snapshotText(identify: () => number[]): { ids: number[]; text: string } {
  return connected(() => {
    chunks.length = 0;
    post("HeapProfiler.startTrackingHeapObjects", { trackAllocations: false });
    const ids = identify();
    // Unlike takeHeapSnapshot, this delivers the snapshot before it returns.
    post("HeapProfiler.stopTrackingHeapObjects", { reportProgress: false, captureNumericValue: false });
    const text = chunks.join("");
    chunks.length = 0;
    return { ids, text };
  });
}

/** Sets private fields of an object from outside its class, as the console of a debugger may. */
export function setPrivateFields(owner: object, names: readonly string[], values: readonly unknown[]): void {
  if (names.length === 0) return;
  connected(() => {
    cell.input = { owner, values };
    const input = inputExpression;
    post("Runtime.evaluate", {
      expression: names.map((name, i) => `${input}.owner.${name} = ${input}.values[${i}]`).join(";"),
      replMode: true,
      silent: true,
    }, true);
    cell.input = undefined;
    const now = new Map(privateFields(owner));
    if (!names.every((name, i) => now.has(name) && Object.is(now.get(name), values[i]))) {
      throw new Error(`the private fields ${names.join(", ")} could not be set`);
    }
  });
}
