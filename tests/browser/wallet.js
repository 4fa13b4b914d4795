/**
 * A Wallet Standard wallet for Playwright: `context.add_init_script(path=".../wallet.js")`.
 *
 * It is written apart from the page's own wallet code, from the standards alone, so that one
 * mistake cannot hide in both. The key is a real WebCrypto Ed25519 key. What it does differently
 * from a well-behaved wallet is chosen by `window.testWallet` set in an earlier init script:
 *
 *   name      "Test Wallet"
 *   seed      64 hex characters, for one key over several page loads; default: a fresh key
 *   signIn    true; false: the wallet has only solana:signMessage
 *   refuse    "", "connect", "signIn" or "signTransaction": declines there, as Phantom words it
 *   prefix    "": what a wallet that changes messages puts before them
 *   other     false; true: signs in with another account than the one asked for
 *   late      milliseconds until it announces itself
 *
 * `window.testWallet.log` holds the names of the features that were called, in order, and
 * `window.testWallet.switchAccount()` makes a new account and tells the page.
 */
(() => {
  const options = Object.assign(
    { name: "Test Wallet", seed: "", signIn: true, refuse: "", prefix: "", other: false, late: 0 },
    window.testWallet,
  );
  const log = [];
  window.testWallet = Object.assign(options, { log });
  // Workers and frames have their own globals; only the top page has a person in front of it.
  if (window.top !== window) return;

  const CHAINS = ["solana:mainnet", "solana:devnet", "solana:localnet"];
  const listeners = new Set();
  let accounts = [];
  const keys = new Map();

  function base58(bytes) {
    const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    let text = "";
    for (; number > 0n; number /= 58n) text = alphabet[Number(number % 58n)] + text;
    for (const byte of bytes) {
      if (byte !== 0) break;
      text = `1${text}`;
    }
    return text;
  }

  async function makeKey(seed) {
    if (!seed) return crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
    const raw = Uint8Array.from(seed.match(/../g), (pair) => parseInt(pair, 16));
    // RFC 8410: an Ed25519 private key in PKCS #8 is this prefix and the 32 bytes.
    const prefix = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    const pkcs8 = new Uint8Array([...prefix, ...raw]);
    const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]);
    const { x, crv, kty } = await crypto.subtle.exportKey("jwk", privateKey);
    const publicKey = await crypto.subtle.importKey("jwk", { x, crv, kty }, "Ed25519", true, ["verify"]);
    return { privateKey, publicKey };
  }

  async function makeAccount(seed = "") {
    const key = await makeKey(seed);
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", key.publicKey));
    const address = base58([...publicKey]);
    keys.set(address, key.privateKey);
    const features = ["solana:signTransaction", "solana:signMessage"];
    if (options.signIn) features.push("solana:signIn");
    return { address, publicKey, chains: CHAINS, features };
  }

  const sign = async (account, bytes) =>
    new Uint8Array(await crypto.subtle.sign("Ed25519", keys.get(account.address), bytes));

  function called(feature) {
    log.push(feature);
    if (feature !== options.refuse) return;
    throw Object.assign(new Error("User rejected the request."), { code: 4001 });
  }

  async function connect() {
    called("connect");
    if (accounts.length === 0) accounts = [await makeAccount(options.seed)];
    return { accounts };
  }

  function siwsText(input, address) {
    let text = `${input.domain} wants you to sign in with your Solana account:\n${address}`;
    if (input.statement) text += `\n\n${input.statement}`;
    const lines = [];
    if (input.uri) lines.push(`URI: ${input.uri}`);
    if (input.version) lines.push(`Version: ${input.version}`);
    if (input.chainId) lines.push(`Chain ID: ${input.chainId}`);
    if (input.nonce) lines.push(`Nonce: ${input.nonce}`);
    if (input.issuedAt) lines.push(`Issued At: ${input.issuedAt}`);
    if (input.expirationTime) lines.push(`Expiration Time: ${input.expirationTime}`);
    if (input.notBefore) lines.push(`Not Before: ${input.notBefore}`);
    if (input.requestId) lines.push(`Request ID: ${input.requestId}`);
    if (input.resources) lines.push("Resources:", ...input.resources.map((uri) => `- ${uri}`));
    return lines.length > 0 ? `${text}\n\n${lines.join("\n")}` : text;
  }

  async function signIn(...inputs) {
    called("signIn");
    if (accounts.length === 0) await connect();
    const account = options.other ? await makeAccount() : accounts[0];
    return Promise.all(
      inputs.map(async (input) => {
        const signedMessage = new TextEncoder().encode(siwsText(input, account.address));
        return { account, signedMessage, signature: await sign(account, signedMessage) };
      }),
    );
  }

  async function signMessage(...inputs) {
    called("signMessage");
    return Promise.all(
      inputs.map(async ({ account, message }) => {
        const signedMessage = new Uint8Array([...new TextEncoder().encode(options.prefix), ...message]);
        return { signedMessage, signature: await sign(account, signedMessage) };
      }),
    );
  }

  /** A v0 transaction: count, that many signatures, 0x80, three counts, then the keys. */
  async function signTransaction(...inputs) {
    called("signTransaction");
    return Promise.all(
      inputs.map(async ({ account, transaction }) => {
        const signatures = transaction[0];
        const message = transaction.slice(1 + 64 * signatures);
        if (message[0] !== 0x80) throw new Error("the test wallet signs v0 transactions only");
        for (let slot = 0; slot < signatures; slot++) {
          const key = message.slice(5 + 32 * slot, 37 + 32 * slot);
          if (base58([...key]) !== account.address) continue;
          const signedTransaction = transaction.slice();
          signedTransaction.set(await sign(account, message), 1 + 64 * slot);
          return { signedTransaction };
        }
        throw new Error("the transaction does not ask for this account's signature");
      }),
    );
  }

  options.switchAccount = async () => {
    accounts = [await makeAccount()];
    for (const listener of listeners) listener({ accounts });
    return accounts[0].address;
  };

  const features = {
    "standard:connect": { version: "1.0.0", connect },
    "standard:events": {
      version: "1.0.0",
      on: (_event, listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    "solana:signMessage": { version: "1.1.0", signMessage },
    "solana:signTransaction": { version: "1.0.0", supportedTransactionVersions: [0], signTransaction },
  };
  if (options.signIn) features["solana:signIn"] = { version: "1.0.0", signIn };

  const wallet = {
    version: "1.0.0",
    name: options.name,
    icon: "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=",
    chains: CHAINS,
    features,
    get accounts() {
      return accounts;
    },
  };

  function announce() {
    const register = (api) => api.register(wallet);
    window.dispatchEvent(new CustomEvent("wallet-standard:register-wallet", { detail: register }));
    window.addEventListener("wallet-standard:app-ready", (event) => register(event.detail));
  }
  if (options.late > 0) setTimeout(announce, options.late);
  else announce();
})();
