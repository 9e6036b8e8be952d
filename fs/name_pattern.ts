/**
 * Names against patterns, as Python's fnmatch and find(1) have it: `*` is any text, also with a leading dot or a line end
 * in it, `?` one character, `[a-z]` and `[!a-z]` one of a set; everything else is itself. It takes time in proportion
 * to pattern and name whatever they are, unlike a regular expression with many stars.
 */
import { platform } from "../runtime/mod.ts";

/** Whether a name fits. */
export interface NameTest {
  (name: string): boolean;
  /** What every name that fits ends in, one of these; undefined if there is no such list. */
  endings?: readonly string[];
}

/**
 * A test for names.
 *
 * @param patterns A text of patterns joined by `;`, or a list of patterns, in which `;` has no meaning.
 * @throws {TypeError} If there is no pattern, or one has a `/` in it, which no name has.
 */
export function nameTest(
  patterns: string | readonly string[],
  ignoreCase = platform() === "win32",
): NameTest {
  const list = typeof patterns === "string"
    ? patterns.split(";").filter((pattern) => pattern !== "")
    : patterns;
  if (list.length === 0) {
    throw new TypeError(
      `no pattern in ${JSON.stringify(patterns)}: give one such as "*.csv" or "*.csv;*.txt"`,
    );
  }
  for (const pattern of list) {
    if (!pattern.includes("/")) continue;
    throw new TypeError(
      `the pattern ${JSON.stringify(pattern)} has a "/" in it, and patterns are for names: ` +
        `say by \`root\` in which folder to look`,
    );
  }
  const tests = [...new Set(list)].map((pattern) => onePattern(pattern, ignoreCase));
  if (tests.length === 1) return tests[0];
  const endings = tests.flatMap(({ endings }) => endings ?? []);
  return Object.assign((name: string) => tests.some((test) => test(name)), {
    endings: tests.every(({ endings }) => endings) ? endings : undefined,
  });
}

/** Whether a text has something in it that makes it a pattern. */
export function hasMagic(text: string): boolean {
  return /[*?[]/.test(text);
}

/** A test for one pattern, which may have any character in it. */
export function onePattern(pattern: string, ignoreCase = false): NameTest {
  if (ignoreCase) {
    const test = onePattern(pattern.toLowerCase());
    return (name) => test(name.toLowerCase());
  }
  const [first, ...later] = pieces(pattern);
  const last = later.pop();
  const ending = (last ?? first).text;
  const endings = ending ? [ending] : undefined;
  if (last === undefined) {
    return Object.assign((name: string) => first.at(name, 0) === name.length, { endings });
  }
  const test = (name: string) => {
    let at = first.at(name, 0);
    if (at < 0) return false;
    for (const piece of later) {
      at = piece.find(name, at);
      if (at < 0) return false;
    }
    return last.ends(name, at);
  };
  return Object.assign(test, { endings });
}

/** What is between stars: text of a certain length. Places are -1 where it does not fit. */
interface Piece {
  /** Itself, if it has no `?` and no sets in it. */
  text?: string;
  /** Where it ends if it begins here. */
  at(name: string, begin: number): number;
  /** Where it ends if it begins here or as little later as possible. */
  find(name: string, from: number): number;
  /** Whether the name ends with it, at this place or later. */
  ends(name: string, from: number): boolean;
}

function pieces(pattern: string): Piece[] {
  const found: Piece[] = [];
  let plain = "", expression = "", isPlain = true;
  const end = () => {
    found.push(isPlain ? textPiece(plain) : setPiece(expression));
    plain = expression = "";
    isPlain = true;
  };
  for (let i = 0; i < pattern.length;) {
    const rest = pattern.slice(i);
    const set = /^\[(?:!(\][^\]]*|[^\]]+)|(?!!)(\][^\]]*|[^\]]+))\]/.exec(rest);
    if (rest[0] === "*") {
      end();
      i++;
    } else if (rest[0] === "?" || set) {
      expression += set ? setExpression(set[1] ?? set[2], set[1] !== undefined) : "[^]";
      isPlain = false;
      i += set ? set[0].length : 1;
    } else {
      const character = String.fromCodePoint(rest.codePointAt(0)!);
      plain += character;
      expression += escaped(character);
      i += character.length;
    }
  }
  end();
  return found;
}

function textPiece(text: string): Piece {
  const { length } = text;
  return {
    text,
    at: (name, begin) => name.startsWith(text, begin) ? begin + length : -1,
    find(name, from) {
      const place = name.indexOf(text, from);
      return place < 0 ? -1 : place + length;
    },
    ends: (name, from) => name.length - length >= from && name.endsWith(text),
  };
}

/** A piece with `?` or sets in it; characters are whole ones, not halves of pairs. */
function setPiece(expression: string): Piece {
  const here = new RegExp(expression, "uy"), anywhere = new RegExp(expression, "gu");
  const atEnd = new RegExp(`${expression}$`, "gu");
  const end = (test: RegExp, name: string, from: number) => {
    test.lastIndex = from;
    return test.test(name) ? test.lastIndex : -1;
  };
  return {
    at: (name, begin) => end(here, name, begin),
    find: (name, from) => end(anywhere, name, from),
    ends: (name, from) => end(atEnd, name, from) >= 0,
  };
}

/** A set as a regular expression; one that is out of order (`[z-a]`) has nothing in it. */
function setExpression(text: string, negated: boolean): string {
  const characters = Array.from(text);
  let inside = "";
  for (let i = 0; i < characters.length; i++) {
    const [from, dash, to] = characters.slice(i, i + 3);
    if (dash !== "-" || to === undefined) inside += escaped(from);
    else {
      if (from.codePointAt(0)! <= to.codePointAt(0)!) inside += `${escaped(from)}-${escaped(to)}`;
      i += 2;
    }
  }
  return `[${negated ? "^" : ""}${inside}]`;
}

/** A character as itself in a regular expression. */
function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
