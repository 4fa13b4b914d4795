/** Connected nodes as squares; asked for now and then, for their states change with every job. */

import type { Node, Nodes } from "../../generated/api.js";
import { byId, make } from "../../lib/dom.js";
import { backend } from "../../lib/format.js";
import { read } from "../../lib/read.js";

/** Slow enough for a thousand open explorers, fast enough to look alive. */
const EVERY_MS = 5000;
/** As many as the server draws. */
const SHOWN = 240;

export function keepNodes(): void {
  setInterval(() => {
    if (document.visibilityState === "visible") void refresh();
  }, EVERY_MS);
}

async function refresh(): Promise<void> {
  const list = document.getElementById("nodes");
  const answer = await read<Nodes>("/api/nodes");
  if (!answer) return;
  const { nodes } = answer;
  // A square that holds the focus stays: a person is about to open it.
  if (!list || list.contains(document.activeElement)) return;
  list.hidden = nodes.length === 0;
  byId("nodes-empty", HTMLElement).hidden = nodes.length > 0;
  list.replaceChildren(...nodes.slice(0, SHOWN).map(square));
}

function square(node: Node): HTMLLIElement {
  const words = `${node.device}, ${backend(node.backend)}: ${node.state}`;
  const link = make("a", "node-square");
  link.href = `/explorer/wallets/${node.wallet}`;
  link.dataset.state = node.state;
  link.title = `${words}, ${node.jobs_done} done`;
  link.append(make("span", "visually-hidden", words));
  const item = make("li");
  item.append(link);
  return item;
}
