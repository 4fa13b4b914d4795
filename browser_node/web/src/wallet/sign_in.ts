/**
 * Sign in with Solana: the wallet proves that it is the owner's, and binds the worker key of
 * this tab, which signs every result.
 *
 * The server writes the text and checks every byte of what comes back; nothing here has to be
 * trusted for that.
 */

import type { WalletAccount } from "@wallet-standard/base";

import type { Challenge, ChallengeRequest, Session, VerifyRequest } from "../generated/api.js";
import { sameBytes, toBase64 } from "./bytes.js";
import type { Offer } from "./discovery.js";
import { asWalletError, cannotSign, WalletError } from "./errors.js";

/** The two calls that signing in needs; `pages/node/api.ts` implements them. */
export interface SignInApi {
  challenge(request: ChallengeRequest): Promise<Challenge>;
  verify(request: VerifyRequest): Promise<Session>;
}

/** Public half of the worker's key, base58, and the id of this device. */
export interface WorkerIdentity {
  readonly workerKey: string;
  readonly deviceId: string;
}

/** What the wallet signed, and with which account. */
interface Signed {
  readonly address: string;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Raises `WalletError` for what the wallet or its owner did, the API's error for the rest. */
export async function signIn(
  offer: Offer,
  identity: WorkerIdentity,
  api: SignInApi,
): Promise<Session> {
  const account = await connect(offer);
  const challenge = await api.challenge({
    address: account.address,
    worker_key: identity.workerKey,
    device_id: identity.deviceId,
  });
  const signed = await sign(offer, account, challenge);
  return api.verify({
    nonce: challenge.nonce,
    address: signed.address,
    signed_message: toBase64(signed.message),
    signature: toBase64(signed.signature),
  });
}

/** The account to use: one that the wallet already shares with this page, else ask for one. */
export async function connect(offer: Offer, wanted?: string): Promise<WalletAccount> {
  const find = (accounts: readonly WalletAccount[]): WalletAccount | undefined =>
    wanted === undefined ? accounts[0] : accounts.find((a) => a.address === wanted);
  const known = find(offer.wallet.accounts);
  if (known) return known;
  let accounts: readonly WalletAccount[];
  try {
    ({ accounts } = await offer.features["standard:connect"].connect());
  } catch (error) {
    throw asWalletError(error, offer.name, "connect");
  }
  const account = find(accounts) ?? find(offer.wallet.accounts);
  if (account) return account;
  if (wanted !== undefined && accounts.length > 0) {
    throw new WalletError(
      "other-account",
      `${offer.name} shows another account than the one signed in here. Switch to ` +
        `${wanted.slice(0, 4)}…${wanted.slice(-4)} in the wallet, or sign out here first.`,
    );
  }
  throw new WalletError("refused", `${offer.name} shared no Solana account with this page.`);
}

async function sign(offer: Offer, account: WalletAccount, challenge: Challenge): Promise<Signed> {
  const feature = offer.features["solana:signIn"];
  try {
    if (feature) {
      const [output] = await feature.signIn(challenge.input);
      if (!output) throw new WalletError("failed", `${offer.name} returned no signature.`);
      const { signedMessage, signature } = output;
      return { address: output.account.address, message: signedMessage, signature };
    }
    return await signText(offer, account, challenge.message);
  } catch (error) {
    throw asWalletError(error, offer.name, "sign in");
  }
}

/** The fallback for wallets that know no `solana:signIn`: the same text as a message. */
async function signText(offer: Offer, account: WalletAccount, text: string): Promise<Signed> {
  const feature = offer.features["solana:signMessage"];
  if (!feature) throw cannotSign(offer.name);
  const message = new TextEncoder().encode(text);
  const [output] = await feature.signMessage({ account, message });
  if (!output) throw new WalletError("failed", `${offer.name} returned no signature.`);
  if (!sameBytes(output.signedMessage, message)) {
    throw new WalletError(
      "changed-text",
      `${offer.name} changed the text before signing it, so the signature proves nothing here. ` +
        "Choose a wallet with Sign In With Solana, such as Phantom, Solflare or Backpack.",
    );
  }
  return { address: account.address, message: output.signedMessage, signature: output.signature };
}
