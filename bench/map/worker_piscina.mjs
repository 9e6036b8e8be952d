// piscina's worker file: the jobs by name. `move` is imported late, so that start and memory do not pay for it.
import { touch } from "./jobs.mjs";
export { nap, spin, touch, trivial, trivialChunk, trivialShared } from "./jobs.mjs";

export async function touchMoved(payload) {
  const { move } = await import("piscina");
  return move(touch(payload));
}
