/**
 * How keymaps get to workers: as the recipe by which they were made, complete in the hint, since a memoized function needs its
 * keymap as soon as it is made itself.
 */
import { dumps, loads } from "../serialize/dumps.ts";
import { defineTraveller, instancesTravel, type Traveller } from "../serialize/travellers.ts";
import { followRecipe, type Keymap, keymapPrototype, type Recipe, recipeOf } from "./keymaps.ts";
import { libraryScript } from "./library_script.ts";

const traveller: Traveller<Keymap, undefined> = {
  name: "pathos/keymap",
  hint: (map) => dumps(recipeOf(map)),
  parts: () => undefined,
  essence: recipeOf,
  make: (hint) => followRecipe(loads<Recipe>(hint as Uint8Array, { trust: "code" })),
  script: libraryScript,
};

instancesTravel(keymapPrototype as Keymap, traveller);
defineTraveller(traveller);
