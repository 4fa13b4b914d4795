/**
 * Which wallets this browser has, live: wallets announce themselves by Wallet Standard, some
 * of them only seconds after the page has loaded.
 */

import { getWallets } from "@wallet-standard/app";
import type { Wallet, WalletAccount } from "@wallet-standard/base";
import type {
  StandardConnectFeature,
  StandardDisconnectFeature,
  StandardEventsFeature,
} from "@wallet-standard/features";

import type { SolanaFeatures } from "./features.js";

/** What a wallet may offer; a page must look before it uses. */
export type Features = StandardConnectFeature &
  Partial<StandardDisconnectFeature & StandardEventsFeature & SolanaFeatures>;

/** A wallet that can be used here. */
export interface Offer {
  /** Lower case, runs of other characters than a-z0-9 as one '-'; unique in the list. */
  readonly slug: string;
  readonly name: string;
  readonly icon: string | null;
  readonly wallet: Wallet;
  readonly features: Features;
}

export function slugOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}

/** Call `onChange` now and whenever a wallet comes or goes; returns how to stop. */
export function watchWallets(onChange: (offers: readonly Offer[]) => void): () => void {
  const wallets = getWallets();
  const tell = (): void => onChange(usable(wallets.get()));
  const stops = [wallets.on("register", tell), wallets.on("unregister", tell)];
  tell();
  return () => stops.forEach((stop) => stop());
}

function usable(wallets: readonly Wallet[]): readonly Offer[] {
  const offers = wallets.filter(isUsable).map(offerOf);
  // Two wallets of one name would share a button: the first keeps it.
  return offers.filter((offer, at) => offers.findIndex((o) => o.slug === offer.slug) === at);
}

/** Speaks Solana, can connect, can prove who it is and can sign a claim. */
function isUsable(wallet: Wallet): boolean {
  const has = (feature: string): boolean => feature in wallet.features;
  return (
    wallet.chains.some((chain) => chain.startsWith("solana:")) &&
    has("standard:connect") &&
    has("solana:signTransaction") &&
    (has("solana:signIn") || has("solana:signMessage")) &&
    slugOf(wallet.name) !== ""
  );
}

function offerOf(wallet: Wallet): Offer {
  // An icon is a picture from a stranger: only inline images, shown by <img>, where no script runs.
  const icon = /^data:image\/(svg\+xml|webp|png|gif);base64,/.test(wallet.icon) ? wallet.icon : null;
  const features = wallet.features as unknown as Features;
  return { slug: slugOf(wallet.name), name: wallet.name, icon, wallet, features };
}

/** Call `onChange` with the wallet's accounts whenever it says that they changed. */
export function watchAccounts(
  offer: Offer,
  onChange: (accounts: readonly WalletAccount[]) => void,
): () => void {
  const events = offer.features["standard:events"];
  if (!events) return () => undefined;
  return events.on("change", ({ accounts }) => {
    if (accounts) onChange(accounts);
  });
}
