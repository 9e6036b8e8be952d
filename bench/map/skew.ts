// The skewed workload: 100 items of 4 ms on average, log-normal, from a fixed seed. Also how well it can be split at
// all, so that the table's figures can be read: with hindsight, and by anybody who takes items in the given order.

/** Milliseconds of each item. */
export function skewedWeights(count = 100, mean = 4, seed = 2026): number[] {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const raw = Array.from({ length: count }, () => Math.exp(normal()));
  const total = raw.reduce((a, b) => a + b);
  return raw.map((weight) => Math.round(weight * mean * count / total * 1000) / 1000);
}

/** Time until two workers are done when each takes the next item as soon as it is free. */
export function greedyTime(weights: readonly number[]): number {
  const busy = [0, 0];
  for (const weight of weights) busy[busy[0] <= busy[1] ? 0 : 1] += weight;
  return Math.max(...busy);
}

/** The same with the longest items first: the best static split. */
export function longestFirstTime(weights: readonly number[]): number {
  return greedyTime([...weights].sort((a, b) => b - a));
}
