/**
 * Node strings as pyina writes them, `N[:TYPE][:ppn=P][,partition=X]`, to an object and back. `N` is how many nodes,
 * `TYPE` a kind of node the site has a name for, `P` the ranks on each, and `X` the partition or queue they are in.
 */

/** What a node string says. */
export interface NodeRequest {
  /** How many nodes. */
  nodes: number;
  /** A property the nodes must have, by the site's own name for it. */
  type?: string;
  /** Ranks on each node. */
  tasksPerNode?: number;
  /** Partition or queue. */
  partition?: string;
}

const WORD = /^[A-Za-z0-9_.+-]+$/;
const FORM = "N[:TYPE][:ppn=P][,partition=X], such as 4, 4:ppn=2 or 4:fat:ppn=2,partition=short";

/**
 * Takes a node string apart; a number is that many nodes.
 *
 * @throws {RangeError} If it does not have the form `N[:TYPE][:ppn=P][,partition=X]` with positive whole numbers.
 *
 * @example
 * ```ts
 * import { parseNodes } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseNodes("4:ppn=2"), { nodes: 4, tasksPerNode: 2 });
 * assertEquals(parseNodes("2:fat,partition=short"), { nodes: 2, type: "fat", partition: "short" });
 * ```
 */
export function parseNodes(text: string | number): NodeRequest {
  const fail = (what: string): never => {
    throw new RangeError(`nodes ${JSON.stringify(text)}: ${what}; write ${FORM}`);
  };
  const count = (word: string, what: string): number => {
    const value = /^\d+$/.test(word) ? Number(word) : 0;
    return Number.isSafeInteger(value) && value > 0 ? value : fail(`${what} is not a positive whole number`);
  };
  const [place, ...extras] = String(text).split(",");
  const [first, ...rest] = place.split(":");
  const request: NodeRequest = { nodes: count(first, "the number of nodes") };
  for (const word of rest) {
    if (word.startsWith("ppn=")) {
      if (request.tasksPerNode !== undefined) fail("ppn is there twice");
      request.tasksPerNode = count(word.slice(4), "ppn");
    } else if (request.type !== undefined || request.tasksPerNode !== undefined || !WORD.test(word)) {
      fail(`${JSON.stringify(word)} is not expected there`);
    } else request.type = word;
  }
  for (const word of extras) {
    const value = word.startsWith("partition=") ? word.slice("partition=".length) : "";
    if (request.partition !== undefined || !WORD.test(value)) {
      fail(`${JSON.stringify(word)} is not a partition`);
    }
    request.partition = value;
  }
  return request;
}

/** Writes a node string; the inverse of {@linkcode parseNodes}. */
export function formatNodes({ nodes, type, tasksPerNode, partition }: NodeRequest): string {
  return `${nodes}${type === undefined ? "" : `:${type}`}${
    tasksPerNode === undefined ? "" : `:ppn=${tasksPerNode}`
  }${partition === undefined ? "" : `,partition=${partition}`}`;
}
