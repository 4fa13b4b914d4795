/** The playground's script: the side that the page shows, and the key that all of them use. */

import { pageData } from "../lib/dom.js";
import { enhance } from "../lib/enhance.js";
import { registerDemoWallet } from "../wallet/demo_wallet.js";
import { startCompare } from "./playground/compare.js";
import { startDraw } from "./playground/draw.js";
import { startGeneric } from "./playground/generic.js";
import { DepositPanel } from "./playground/deposit_panel.js";
import { KeyPanel } from "./playground/key_panel.js";
import type { PageData } from "./playground/side.js";

const data = pageData() as PageData | null;
enhance();
if (data?.side) {
  const start = { compare: startCompare, draw: startDraw, generic: startGeneric }[data.side];
  const panel = new KeyPanel(data.token);
  start(data, panel);
  if (data.local) registerDemoWallet();
  if (data.chain) new DepositPanel(panel, data.token, data.chain);
}
