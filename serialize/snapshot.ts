/**
 * Tells activations of one function apart, exactly: a heap snapshot names the context (the set of cells) of every
 * closure.
 *
 * Costs 0.3 to 1 s and memory in proportion to the heap, so it is taken only when guessing could be wrong, and the answer
 * is kept per function.
 */
import { heapIds, snapshotText } from "./inspector.ts";
import type { CodeFunction } from "./types.ts";

/** Identities of the contexts around a function, innermost first. */
export type FunctionContexts = readonly number[];

const known = new WeakMap<CodeFunction, FunctionContexts>();

/** The contexts around a function, if a snapshot has told them. */
export function contextsOf(fn: CodeFunction): FunctionContexts | undefined {
  return known.get(fn);
}

interface Snapshot {
  snapshot: { meta: { node_fields: string[]; edge_fields: string[]; edge_types: [string[], ...unknown[]] } };
  nodes: number[];
  edges: number[];
  strings: string[];
}

let serial = 0;
const serials = new Map<number, number>();

/**
 * Learns the contexts of these functions.
 *
 * @returns Whether all of them are known now.
 */
export function learnContexts(fns: readonly CodeFunction[]): boolean {
  const { ids, text } = snapshotText(() => heapIds(fns));
  const { snapshot: { meta }, nodes, edges, strings } = JSON.parse(text) as Snapshot;
  const width = meta.node_fields.length;
  const edgeWidth = meta.edge_fields.length;
  const idField = meta.node_fields.indexOf("id");
  const countField = meta.node_fields.indexOf("edge_count");
  const internal = meta.edge_types[0].indexOf("internal");
  const wanted = new Set(ids);
  const firstEdge = new Uint32Array(nodes.length / width + 1);
  const nodeOf = new Map<number, number>();
  for (let node = 0, edge = 0; node < nodes.length; node += width) {
    firstEdge[node / width] = edge;
    edge += nodes[node + countField];
    firstEdge[node / width + 1] = edge;
    if (wanted.has(nodes[node + idField])) nodeOf.set(nodes[node + idField], node);
  }
  const follow = (node: number, name: string): number | undefined => {
    for (let e = firstEdge[node / width]; e < firstEdge[node / width + 1]; e++) {
      const at = e * edgeWidth;
      if (edges[at] === internal && strings[edges[at + 1]] === name) return edges[at + 2];
    }
    return undefined;
  };
  // Identities of the heap profiler may be reused after a collection: each snapshot gets numbers of its own.
  serials.clear();
  let complete = true;
  fns.forEach((fn, i) => {
    const contexts: number[] = [];
    const node = nodeOf.get(ids[i]);
    for (
      let context = node === undefined ? undefined : follow(node, "context");
      context !== undefined;
      context = follow(context, "previous")
    ) {
      const id = nodes[context + idField];
      if (!serials.has(id)) serials.set(id, serial++);
      contexts.push(serials.get(id)!);
    }
    if (contexts.length === 0) complete = false;
    else known.set(fn, contexts);
  });
  return complete;
}
