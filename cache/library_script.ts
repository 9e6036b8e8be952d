/** This folder as a script, for workers (serialize/travellers.ts); one object, so that it is written once. */
import { CACHE_LIBRARY } from "./library_bundle.ts";

/** The script. */
export const libraryScript: { readonly text: string } = { text: CACHE_LIBRARY };
