/** `tokenizer.json` in JavaScript: the same ids as its Python twin, without a second wheel. */

import { Tokenizer } from "@huggingface/tokenizers";

export class TextTokenizer {
  private readonly tokenizer: Tokenizer;
  /** Special tokens before a text's own ("[CLS]"). */
  private readonly prefix: number;
  /** … and in all, with those after ("[SEP]"). */
  private readonly specials: number;

  constructor(json: Uint8Array) {
    const content: unknown = JSON.parse(new TextDecoder().decode(json));
    this.tokenizer = new Tokenizer(content as object, {});
    this.specials = this.tokenizer.encode("").ids.length;
    const [own] = this.tokenizer.encode("a", { add_special_tokens: false }).ids;
    this.prefix = Math.max(0, this.tokenizer.encode("a").ids.indexOf(own ?? -1));
  }

  /** Ids of each text with its special tokens, at most `maxTokens`; the text's end is cut. */
  encode(texts: string[], maxTokens: number): number[][] {
    return texts.map((text) => this.cut(this.tokenizer.encode(text).ids, maxTokens));
  }

  private cut(ids: number[], maxTokens: number): number[] {
    if (ids.length <= maxTokens) return ids;
    const after = this.specials - this.prefix;
    return [...ids.slice(0, maxTokens - after), ...ids.slice(ids.length - after)];
  }
}
