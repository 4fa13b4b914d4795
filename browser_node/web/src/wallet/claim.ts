/**
 * One claim, from the press of the button to finality on chain.
 *
 * reserved (the amount is set aside; the wallet's signature is awaited) → signed (sent to the
 * chain) → confirmed (the chain has it) → finalized (it cannot be undone) | failed | expired.
 * The server decides each step; this follows.
 */

import type { Claim, SignedClaim } from "../generated/api.js";
import { fromBase64, toBase64 } from "./bytes.js";
import type { Offer } from "./discovery.js";
import { asWalletError, WalletError } from "./errors.js";
import { connect } from "./sign_in.js";

/** The calls that a claim needs; `pages/node/api.ts` implements them. */
export interface ClaimApi {
  createClaim(): Promise<Claim>;
  signClaim(id: string, signed: SignedClaim): Promise<Claim>;
  readClaim(id: string): Promise<Claim>;
}

export type Wait = (milliseconds: number) => Promise<void>;

/** A confirmed claim is final after about 32 slots of 0.4 s, so nothing is gained by haste. */
const POLL_MS = 1_000;
/** Past this many failed reads in a row something is wrong that waiting does not mend. */
const FAILED_READS = 30;

export function isOver(claim: Claim): boolean {
  return claim.state === "finalized" || claim.state === "failed" || claim.state === "expired";
}

/** Who claims: the wallet, the account that is signed in, and the chain ("solana:devnet"). */
export interface Claimant {
  readonly offer: Offer;
  readonly address: string;
  readonly chain: string;
}

/** Reserve, sign, send and follow. `onChange` hears every state, the last one included. */
export async function makeClaim(
  claimant: Claimant,
  api: ClaimApi,
  wait: Wait,
  onChange: (claim: Claim) => void,
): Promise<Claim> {
  // The account first: a wallet that is locked or switched must not leave a reserved claim.
  const account = await connect(claimant.offer, claimant.address);
  const claim = await api.createClaim();
  onChange(claim);
  const transaction = claim.transaction;
  if (claim.state !== "reserved" || transaction === null) {
    return followClaim(claim, api, wait, onChange);
  }
  const signed = await signTransaction(claimant, account, transaction, "sign the claim");
  const sent = await api.signClaim(claim.id, { transaction: signed });
  onChange(sent);
  return followClaim(sent, api, wait, onChange);
}

/** Ask until the claim is over. Single failed reads are borne; the server has the truth. */
export async function followClaim(
  start: Claim,
  api: ClaimApi,
  wait: Wait,
  onChange: (claim: Claim) => void,
): Promise<Claim> {
  let claim = start;
  let failures = 0;
  while (!isOver(claim)) {
    await wait(POLL_MS);
    try {
      const next = await api.readClaim(claim.id);
      failures = 0;
      if (next.state !== claim.state) onChange(next);
      claim = next;
    } catch (error) {
      failures += 1;
      if (failures >= FAILED_READS) throw error;
    }
  }
  return claim;
}

type Account = Awaited<ReturnType<typeof connect>>;

/**
 * Base64 in, base64 out: the wallet adds its signature to the server's bytes. `doing` ends
 * "… did not …" sentences.
 */
export async function signTransaction(
  { offer, chain }: Claimant,
  account: Account,
  transaction: string,
  doing: string,
): Promise<string> {
  const feature = offer.features["solana:signTransaction"];
  if (!feature) throw new WalletError("cannot-sign", `${offer.name} cannot sign transactions.`);
  try {
    const named = account.chains.find((supported) => supported === chain);
    const input = { account, transaction: fromBase64(transaction), ...(named && { chain: named }) };
    const [output] = await feature.signTransaction(input);
    if (!output) throw new WalletError("failed", `${offer.name} returned no transaction.`);
    return toBase64(output.signedTransaction);
  } catch (error) {
    throw asWalletError(error, offer.name, doing);
  }
}
