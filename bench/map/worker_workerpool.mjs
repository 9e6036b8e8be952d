// workerpool's worker file: the jobs by name.
import workerpool from "workerpool";
import { nap, spin, touch, trivial, trivialChunk, trivialShared } from "./jobs.mjs";

function touchMoved(payload) {
  const result = touch(payload);
  return new workerpool.Transfer(result, [result.buffer]);
}

workerpool.worker({ nap, spin, touch, touchMoved, trivial, trivialChunk, trivialShared });
