/**
 * Solana's features of the Wallet Standard, as far as this page uses them.
 *
 * The same as the types of `@solana/wallet-standard-features` 1.5 with bytes as `Uint8Array`;
 * a package for forty lines of types would be one more to trust.
 */

import type { IdentifierString, WalletAccount } from "@wallet-standard/base";

export interface SignInInput {
  readonly domain?: string;
  readonly address?: string;
  readonly statement?: string;
  readonly uri?: string;
  readonly version?: string;
  readonly chainId?: string;
  readonly nonce?: string;
  readonly issuedAt?: string;
  readonly expirationTime?: string;
  readonly notBefore?: string;
  readonly requestId?: string;
  readonly resources?: readonly string[];
}

export interface SignInOutput {
  /** Its address may differ from the one asked for. */
  readonly account: WalletAccount;
  readonly signedMessage: Uint8Array;
  readonly signature: Uint8Array;
}

export interface SignMessageInput {
  readonly account: WalletAccount;
  readonly message: Uint8Array;
}

export interface SignMessageOutput {
  /** Wallets may prefix or otherwise change the message before signing it. */
  readonly signedMessage: Uint8Array;
  readonly signature: Uint8Array;
}

export interface SignTransactionInput {
  readonly account: WalletAccount;
  readonly transaction: Uint8Array;
  readonly chain?: IdentifierString;
}

export interface SignTransactionOutput {
  readonly signedTransaction: Uint8Array;
}

/** All are variadic: one output for each input, in order. */
export interface SolanaFeatures {
  readonly "solana:signIn": {
    signIn(...inputs: readonly SignInInput[]): Promise<readonly SignInOutput[]>;
  };
  readonly "solana:signMessage": {
    signMessage(...inputs: readonly SignMessageInput[]): Promise<readonly SignMessageOutput[]>;
  };
  readonly "solana:signTransaction": {
    signTransaction(
      ...inputs: readonly SignTransactionInput[]
    ): Promise<readonly SignTransactionOutput[]>;
  };
}
