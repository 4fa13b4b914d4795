/** The text of Sign In With Solana for an input, byte for byte as the standard's grammar has it. */

import type { SignInInput } from "./features.js";

export function signInText(input: SignInInput): string {
  const domain = input.domain ?? window.location.host;
  const head = `${domain} wants you to sign in with your Solana account:\n${input.address ?? ""}`;
  const fields = Object.entries({
    URI: input.uri,
    Version: input.version,
    "Chain ID": input.chainId,
    Nonce: input.nonce,
    "Issued At": input.issuedAt,
    "Expiration Time": input.expirationTime,
    "Not Before": input.notBefore,
    "Request ID": input.requestId,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}`);
  if (input.resources) fields.push("Resources:", ...input.resources.map((uri) => `- ${uri}`));
  const parts = [head];
  if (input.statement !== undefined) parts.push(input.statement);
  if (fields.length > 0) parts.push(fields.join("\n"));
  return parts.join("\n\n");
}
