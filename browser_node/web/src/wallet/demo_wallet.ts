/**
 * A wallet for the local chain, so that one can try the grid without installing anything.
 *
 * It implements Wallet Standard and registers like any other, so the page has one path only.
 * Its key is made here by WebCrypto, cannot be exported, and lies in this browser's storage:
 * whoever clears the site's data loses it, which is why it is offered only where the tokens
 * are play money.
 */

import type { Wallet, WalletAccount } from "@wallet-standard/base";
import type { StandardEventsListeners } from "@wallet-standard/features";

import { base58, sameBytes } from "./bytes.js";
import type {
  SignInInput,
  SignInOutput,
  SignMessageInput,
  SignMessageOutput,
  SignTransactionInput,
  SignTransactionOutput,
} from "./features.js";
import { signInText } from "./sign_in_text.js";

const CHAINS = ["solana:localnet"] as const;
const FEATURES = ["solana:signIn", "solana:signMessage", "solana:signTransaction"] as const;
const ICON =
  "data:image/svg+xml;base64," +
  btoa(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" ' +
      'rx="8" fill="#52606d"/><path d="M8 11h16v12H8z" fill="none" stroke="#fff" ' +
      'stroke-width="2"/><path d="M19 17h5" stroke="#fff" stroke-width="2"/></svg>',
  );

/** Announce the demo wallet the way a browser extension does. */
export function registerDemoWallet(): void {
  const wallet = demoWallet();
  const register = ({ register }: { register: (wallet: Wallet) => void }): void => register(wallet);
  window.dispatchEvent(new CustomEvent("wallet-standard:register-wallet", { detail: register }));
  window.addEventListener("wallet-standard:app-ready", (event) =>
    register((event as CustomEvent<{ register: (wallet: Wallet) => void }>).detail),
  );
}

export function demoWallet(): Wallet {
  let accounts: readonly WalletAccount[] = [];
  const listeners = new Set<StandardEventsListeners["change"]>();
  const show = (next: readonly WalletAccount[]): void => {
    accounts = next;
    for (const listener of listeners) listener({ accounts });
  };

  async function connect(): Promise<{ accounts: readonly WalletAccount[] }> {
    if (accounts.length === 0) show([await accountOf(await demoKey())]);
    return { accounts };
  }

  function disconnect(): Promise<void> {
    show([]);
    return Promise.resolve();
  }

  async function signIn(...inputs: readonly SignInInput[]): Promise<SignInOutput[]> {
    const account = await accountOf(await demoKey());
    await connect();
    return Promise.all(
      inputs.map(async (input) => {
        const text = signInText({ ...input, address: input.address ?? account.address });
        const signedMessage = new TextEncoder().encode(text);
        return { account, signedMessage, signature: await sign(signedMessage) };
      }),
    );
  }

  const signMessage = (
    ...inputs: readonly SignMessageInput[]
  ): Promise<SignMessageOutput[]> =>
    Promise.all(
      inputs.map(async ({ message }) => ({
        signedMessage: message,
        signature: await sign(message),
      })),
    );

  const signTransaction = (
    ...inputs: readonly SignTransactionInput[]
  ): Promise<SignTransactionOutput[]> =>
    Promise.all(
      inputs.map(async ({ account, transaction }) => ({
        signedTransaction: await signedBy(Uint8Array.from(account.publicKey), transaction),
      })),
    );

  return {
    version: "1.0.0",
    name: "Demo wallet",
    icon: ICON as Wallet["icon"],
    chains: CHAINS,
    get accounts() {
      return accounts;
    },
    features: {
      "standard:connect": { version: "1.0.0", connect },
      "standard:disconnect": { version: "1.0.0", disconnect },
      "standard:events": {
        version: "1.0.0",
        on: (_event: "change", listener: StandardEventsListeners["change"]) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      "solana:signIn": { version: "1.0.0", signIn },
      "solana:signMessage": { version: "1.0.0", signMessage },
      "solana:signTransaction": {
        version: "1.0.0",
        supportedTransactionVersions: ["legacy", 0],
        signTransaction,
      },
    },
  };
}

async function accountOf(key: CryptoKeyPair): Promise<WalletAccount> {
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", key.publicKey));
  return { address: base58(publicKey), publicKey, chains: CHAINS, features: FEATURES };
}

async function sign(message: Uint8Array): Promise<Uint8Array> {
  const { privateKey } = await demoKey();
  return new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, new Uint8Array(message)));
}

// --- a transaction's bytes: count of signatures, 64 bytes each, then the message -----------

/** A copy of a legacy or v0 transaction with `publicKey`'s signature in its place. */
async function signedBy(publicKey: Uint8Array, transaction: Uint8Array): Promise<Uint8Array> {
  const [count, start] = compactU16(transaction, 0);
  const messageAt = start + count * 64;
  const message = transaction.subarray(messageAt);
  // A v0 message opens with its version, whose high bit a legacy header never has set.
  const headerAt = (message[0] ?? 0) & 0x80 ? 1 : 0;
  const [keys, keysAt] = compactU16(message, headerAt + 3);
  for (let slot = 0; slot < Math.min(count, keys); slot++) {
    const at = keysAt + slot * 32;
    if (!sameBytes(message.subarray(at, at + 32), publicKey)) continue;
    const signed = new Uint8Array(transaction);
    signed.set(await sign(message), start + slot * 64);
    return signed;
  }
  throw new Error("this transaction does not ask for this account's signature");
}

/** Solana's length prefix: 7 bits a byte, low first. Value, and where the next byte is. */
function compactU16(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let i = 0; i < 3; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) break;
    value |= (byte & 0x7f) << (7 * i);
    if ((byte & 0x80) === 0) return [value, at + i + 1];
  }
  throw new Error("this is not a Solana transaction");
}

// --- the key, kept in IndexedDB --------------------------------------------------------------

let pending: Promise<CryptoKeyPair> | undefined;

/** The same key on every visit; made on the first. */
function demoKey(): Promise<CryptoKeyPair> {
  pending ??= loadOrMakeKey().catch((error: unknown) => {
    pending = undefined;
    throw error;
  });
  return pending;
}

async function loadOrMakeKey(): Promise<CryptoKeyPair> {
  const database = await openDatabase();
  try {
    const kept = await readKey(database);
    if (kept) return kept;
    const made = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    // Two tabs may get here together: `add` lets only the first one write.
    const write = database.transaction("keys", "readwrite").objectStore("keys").add(made, "wallet");
    await settled(write).catch(() => undefined);
    return (await readKey(database)) ?? made;
  } finally {
    database.close();
  }
}

async function readKey(database: IDBDatabase): Promise<CryptoKeyPair | undefined> {
  const read = database.transaction("keys").objectStore("keys").get("wallet");
  return (await settled(read)) as CryptoKeyPair | undefined;
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open("tabgrid-demo-wallet", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("keys");
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's storage failed"));
  });
}
