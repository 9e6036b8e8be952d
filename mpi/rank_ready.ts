/** What a pool and rank 0 of the job that it has started tell each other first: how the ranks are to be, and where rank 0 is. */

/** Under this symbol the program finds its own text if it is to be a rank. */
export const RANK_SYMBOL = "pathos.rank";

/** How a rank is to be, as JSON in its first argument. */
export interface RankOptions {
  /** Whether rank 0 has a worker too. */
  onall: boolean;
  /** Machine that the job was started from. */
  from: string;
  /** In a batch job: where to write how rank 0 is reached, and how long it may be without a pool, in milliseconds. */
  batch?: { file: string; lease: number };
}

/** How rank 0 is reached. */
export interface RankReady {
  /** Name of its machine. */
  host: string;
  /** Port on its loopback, for HTTP. */
  port: number;
  /** If it is not the machine that the job was started from: port and addresses on the network. */
  network?: { port: number; addresses: string[] };
}
