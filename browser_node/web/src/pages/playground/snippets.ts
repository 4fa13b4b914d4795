/** The same request from a program. Pure; what was typed is quoted, never interpreted. */

import type { Order } from "./api.js";

/** One argument for a POSIX shell, whatever is in it. */
export const shell = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** JSON's strings are Python's, but for half surrogates, which no field lets through. */
const python = (value: unknown): string =>
  value === true ? "True" : value === false ? "False" : JSON.stringify(value);

const curl = (url: string, body: unknown): string =>
  [
    `curl ${url} \\`,
    `  -H "Authorization: Bearer $TABGRID_KEY" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d ${shell(JSON.stringify(body))}`,
  ].join("\n");

export const curlJob = (origin: string, order: Order): string => curl(`${origin}/api/jobs`, order);

/** What OpenAI's endpoint takes, in its order. */
export interface ImageRequest {
  readonly model: string;
  readonly prompt: string;
  readonly size: string;
  /** What the official client has no arguments for. */
  readonly extra: Record<string, unknown>;
}

export function curlImage(origin: string, { extra, ...request }: ImageRequest): string {
  return curl(`${origin}/v1/images/generations`, { ...request, ...extra });
}

export function pythonImage(origin: string, { model, prompt, size, extra }: ImageRequest): string {
  const extras = Object.entries(extra).map(([name, value]) => `"${name}": ${python(value)}`);
  return [
    "import os",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${python(`${origin}/v1`)},`,
    `                api_key=os.environ["TABGRID_KEY"])`,
    "answer = client.images.generate(",
    `    model=${python(model)},`,
    `    prompt=${python(prompt)},`,
    `    size=${python(size)},`,
    `    extra_body={${extras.join(", ")}},`,
    ")",
    "print(answer.data[0].url)",
  ].join("\n");
}
