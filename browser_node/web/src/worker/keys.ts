/**
 * The worker key: Ed25519, made in this browser profile and never leaving it.
 *
 * The private key is a CryptoKey that cannot be exported, kept in IndexedDB beside a random
 * device id. The sign-in binds the public key to the wallet; it then signs every result.
 */

import { base58 } from "../wallet/bytes";
import { NeedsPerson } from "./errors";

const DATABASE = "tabgrid";
const STORE = "identity";
const RECORD = "this-device";

interface Kept {
  keys: CryptoKeyPair;
  deviceId: string;
}

export class WorkerKey {
  private constructor(
    private readonly secret: CryptoKey,
    /** Base58 of the 32-byte public key. */
    readonly publicKey: string,
    readonly deviceId: string,
  ) {}

  /** The kept key, or a new one. Where nothing can be kept it lives as long as the tab. */
  static async open(): Promise<WorkerKey> {
    const kept = (await read().catch(() => undefined)) ?? (await create());
    const raw = await crypto.subtle.exportKey("raw", kept.keys.publicKey);
    return new WorkerKey(kept.keys.privateKey, base58(new Uint8Array(raw)), kept.deviceId);
  }

  async sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Uint8Array(await crypto.subtle.sign("Ed25519", this.secret, message));
  }
}

async function create(): Promise<Kept> {
  const keys = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]).catch(() => {
    throw new NeedsPerson("This browser cannot make Ed25519 keys. Update it to a version from 2025 on.");
  });
  const kept = { keys, deviceId: crypto.randomUUID() };
  // A private window may refuse; the key then serves this tab only, and so does its sign-in.
  await write(kept).catch(() => undefined);
  return kept;
}

async function read(): Promise<Kept | undefined> {
  return transaction("readonly", (store) => store.get(RECORD) as IDBRequest<Kept | undefined>);
}

async function write(kept: Kept): Promise<void> {
  await transaction("readwrite", (store) => store.put(kept, RECORD));
}

async function transaction<T>(
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await settled(opening);
  try {
    return await settled(act(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}
