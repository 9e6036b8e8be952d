/**
 * The places of a pool that are not this machine, together: they are connected when a map begins, warned of when one
 * is lost, and the maps fail when none is left that could run them.
 */
import { stderr } from "../runtime/mod.ts";
import type { Elsewhere } from "./engine.ts";
import { type Finder, newFinder } from "./finder.ts";
import { type HostPlace, hostPlace, type HostPlaceParts, type LinkTarget } from "./host_place.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ServerTarget } from "./server_specs.ts";
import type { SharedKey } from "./shared_key.ts";

/** What all places of a pool have in common. */
export type PlaceParts = Pick<HostPlaceParts, "book" | "limits" | "beginning">;

/** What the places of a pool are made of. */
export interface ElsewhereParts {
  targets: readonly (ServerTarget | LinkTarget)[];
  /** Looks for servers on the network segment, on this UDP port. */
  search?: { port: number; key: SharedKey };
  /** Workers on this machine: with some, maps go on without the places. */
  localWorkers: number;
  parts: PlaceParts;
}

/** Makes the places of a pool; nothing is connected yet. */
export function openElsewhere({ targets, search, localWorkers, parts }: ElsewhereParts): Elsewhere {
  let scheduler: Scheduler;
  const warned = new Set<string>();
  const warn = (text: string): void => {
    if (!warned.has(text)) stderr.write(`pathos: ${text}\n`);
    warned.add(text);
  };
  const events: HostPlaceParts = {
    ...parts,
    opened: (place, workers) => scheduler.open(place, workers),
    closed: (place) => scheduler.close(place),
    lost: (place, reason) => warn(`${place.host} was lost, what it had is run again: ${reason}`),
    failed: (place, reason) => without(`${place.host} is not used: ${reason}`),
  };
  /** Goes on without one of the servers, if anything is left. */
  function without(warning: string): void {
    const left = places.filter(({ status }) => ["connecting", "ready", "away"].includes(status.state));
    if (localWorkers > 0 || left.length > 0 || finder?.hopeful) return warn(warning);
    for (const job of scheduler.jobs) job.fail(noPlace());
  }
  const places: HostPlace[] = [];
  const add = (target: ServerTarget | LinkTarget): HostPlace => {
    const place = hostPlace(target, events);
    places.push(place);
    return place;
  };
  targets.forEach(add);
  const finder: Finder | undefined = search && newFinder(search.port, search.key, {
    found: (target) => add(target).begin(),
    nothing: without,
  });
  const noPlace = (): Error => {
    const reasons = places.map(({ status }) => `\n  ${status.server}: ${status.reason ?? "not tried"}`);
    if (finder?.reason) reasons.push(`\n  autodetect: ${finder.reason}`);
    return new Error(`there is no worker to run this: none of the servers can be used${reasons.join("")}`);
  };
  return {
    begin(current) {
      scheduler = current;
      finder?.begin(localWorkers === 0);
      for (const place of places) place.begin();
      if (localWorkers === 0 && !finder && places.every(({ status }) => status.state === "failed")) {
        throw noPlace();
      }
    },
    rest: () => [finder, ...places].forEach((part) => part?.rest()),
    stop: async () => void await Promise.all([finder?.stop(), ...places.map((place) => place.stop())]),
    status: () => places.map(({ status }) => status),
  };
}
