/**
 * What can go wrong between a person, their wallet and us, in words for the person.
 *
 * Wallets report errors each in their own way: a code (EIP-1193's 4001), a name, or only an
 * English sentence. All of that is read here and nowhere else.
 */

export type WalletTrouble =
  /** The person said no. Nothing is wrong. */
  | "refused"
  /** A hardware wallet, or a wallet that cannot sign text. */
  | "cannot-sign"
  /** The wallet changed the text before signing it. */
  | "changed-text"
  /** The wallet shows an account other than the one that is signed in. */
  | "other-account"
  | "failed";

export class WalletError extends Error {
  constructor(
    readonly trouble: WalletTrouble,
    message: string,
  ) {
    super(message);
    this.name = "WalletError";
  }
}

/** EIP-1193's "User Rejected Request", which Solana's wallets use too. */
const USER_REJECTED = 4001;
const REFUSAL = /reject|declin|den(y|ied)|cancel|closed|abort/i;
const HARDWARE = /ledger|trezor|hardware|not supported|unsupported|unimplemented/i;

/** Any error of a wallet as a `WalletError`; `doing` ends "… did not …" sentences. */
export function asWalletError(error: unknown, wallet: string, doing: string): WalletError {
  if (error instanceof WalletError) return error;
  const text = error instanceof Error ? `${error.name} ${error.message}` : String(error);
  const code = (error as { code?: unknown } | null)?.code;
  if (code === USER_REJECTED || REFUSAL.test(text)) {
    return new WalletError("refused", `You declined in ${wallet}. Nothing was signed.`);
  }
  if (HARDWARE.test(text)) return cannotSign(wallet);
  const said = error instanceof Error && error.message ? `: ${error.message}` : ".";
  return new WalletError("failed", `${wallet} did not ${doing}${said}`);
}

export function cannotSign(wallet: string): WalletError {
  return new WalletError(
    "cannot-sign",
    `${wallet} cannot sign this text with this account. Hardware wallets such as Ledger often ` +
      "cannot: choose an account kept in the wallet itself.",
  );
}
