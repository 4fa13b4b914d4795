/** BERT's text cleaning and word splitting, the same in every browser: see build/bert-tables. */

import { DROP, ISOLATE, REPLACE, SPACE } from "./bert_tables";

const enum Action {
  Keep,
  Drop,
  Space,
  /** Stands alone: punctuation and Chinese characters. */
  Isolate,
  Replace,
}

const HANGUL_FIRST = 0xac00;
const HANGUL_COUNT = 11172;

const actions = new Uint8Array(0x110000);
const replacements = new Map<number, string>();

fill(DROP, Action.Drop);
fill(SPACE, Action.Space);
fill(ISOLATE, Action.Isolate);
for (const row of REPLACE) {
  const code = parseInt(row, 16); // stops at the space
  actions[code] = Action.Replace;
  replacements.set(code, row.slice(row.indexOf(" ") + 1));
}

function fill(runs: number[], action: Action): void {
  for (let i = 0; i < runs.length; i += 2) {
    const first = runs[i] ?? 0;
    actions.fill(action, first, first + (runs[i + 1] ?? 0));
  }
}

/** Without control characters and accents, in lower case, Chinese characters spaced. */
export function normalize(text: string): string {
  let result = "";
  for (const character of text) result += normalized(character);
  return result;
}

function normalized(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  switch (actions[code]) {
    case Action.Drop:
      return "";
    case Action.Space:
      return " ";
    case Action.Replace:
      return replacements.get(code) ?? "";
  }
  const syllable = code - HANGUL_FIRST;
  return syllable >= 0 && syllable < HANGUL_COUNT ? letters(syllable) : character;
}

/** The letters of a Hangul syllable: lead, vowel and perhaps a tail (Unicode, 3.12). */
function letters(syllable: number): string {
  const lead = 0x1100 + Math.floor(syllable / 588);
  const vowel = 0x1161 + Math.floor((syllable % 588) / 28);
  const tail = syllable % 28;
  return String.fromCodePoint(lead, vowel, ...(tail ? [0x11a7 + tail] : []));
}

/** Words of normalised text; what stands alone is a word of its own. */
export function words(text: string): string[] {
  const found: string[] = [];
  let word = "";
  const end = (): void => {
    if (word) found.push(word);
    word = "";
  };
  for (const character of text) {
    if (character === " ") end();
    else if (actions[character.codePointAt(0) ?? 0] === Action.Isolate) {
      end();
      found.push(character);
    } else word += character;
  }
  end();
  return found;
}
