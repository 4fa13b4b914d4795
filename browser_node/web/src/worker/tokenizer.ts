/** `tokenizer.json` in JavaScript: the same ids as its Python twin, without a second wheel. */

import { Tokenizer } from "@huggingface/tokenizers";
import { normalize, words } from "./bert";

/** The steps of `tokenizer.json` that the tables in bert.ts stand for. */
interface Steps {
  normalizer?: {
    type?: string;
    clean_text?: boolean;
    handle_chinese_chars?: boolean;
    strip_accents?: boolean | null;
    lowercase?: boolean;
    normalizers?: { type?: string }[];
  } | null;
  pre_tokenizer?: { type?: string } | null;
}

export class TextTokenizer {
  private readonly tokenizer: Tokenizer;
  /** Special tokens before a text's own ("[CLS]"). */
  private readonly prefix: number;
  /** … and in all, with those after ("[SEP]"). */
  private readonly specials: number;
  private readonly lowers: boolean;

  constructor(json: Uint8Array) {
    const content = JSON.parse(new TextDecoder().decode(json)) as Steps;
    this.tokenizer = new Tokenizer(content, {});
    if (isBert(content)) {
      this.tokenizer.normalizer = normalize as unknown as Tokenizer["normalizer"];
      this.tokenizer.pre_tokenizer = words as unknown as Tokenizer["pre_tokenizer"];
    }
    this.lowers = content.normalizer?.normalizers?.some(({ type }) => type === "Lowercase") ?? false;
    this.specials = this.tokenizer.encode("").ids.length;
    const [own] = this.tokenizer.encode("a", { add_special_tokens: false }).ids;
    this.prefix = Math.max(0, this.tokenizer.encode("a").ids.indexOf(own ?? -1));
  }

  /** Ids of each text with its special tokens, at most `maxTokens`; the text's end is cut. */
  encode(texts: string[], maxTokens: number): number[][] {
    return texts.map((text) => this.cut(this.tokenizer.encode(this.read(text)).ids, maxTokens));
  }

  /** JavaScript knows a sigma at a word's end; the twin lowers each letter by itself. */
  private read(text: string): string {
    return this.lowers ? text.replaceAll("Σ", "σ") : text;
  }

  private cut(ids: number[], maxTokens: number): number[] {
    if (ids.length <= maxTokens) return ids;
    const after = this.specials - this.prefix;
    return [...ids.slice(0, maxTokens - after), ...ids.slice(ids.length - after)];
  }
}

/** The library's own steps ask the browser's Unicode tables; see build/bert-tables. */
function isBert({ normalizer, pre_tokenizer }: Steps): boolean {
  return (
    pre_tokenizer?.type === "BertPreTokenizer" &&
    normalizer?.type === "BertNormalizer" &&
    normalizer.clean_text === true &&
    normalizer.handle_chinese_chars === true &&
    normalizer.strip_accents !== false &&
    normalizer.lowercase === true
  );
}
