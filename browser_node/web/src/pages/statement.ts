/** The statement of the key that this browser keeps: every posting behind its credit. */

import type { Statement, StatementLine, Token } from "../generated/api.js";
import { byId, make, pageData, setText } from "../lib/dom.js";
import { enhance } from "../lib/enhance.js";
import { ago, amount, exact, short } from "../lib/format.js";
import { send } from "./playground/api.js";
import { keptKey, sentence } from "./playground/key_panel.js";

/** What routes.py puts into #page-data. */
interface PageData {
  readonly token: Token;
  readonly kinds: Readonly<Record<string, string>>;
  readonly accounts: Readonly<Record<string, string>>;
}

const PATH = "/api/keys/current/statement";
const { token, kinds, accounts } = pageData() as PageData;
const table = byId("lines", HTMLTableElement);
const none = byId("lines-none", HTMLElement);
const earlier = byId("earlier", HTMLButtonElement);
const download = byId("download", HTMLButtonElement);
/** Where the next page begins; null at the end. */
let next: number | null = null;

function cell(label: string, content: string | Node, className = ""): HTMLTableCellElement {
  const made = make("td", className);
  made.setAttribute("role", "cell");
  made.dataset.label = label;
  made.append(content);
  return made;
}

function reference(line: StatementLine): Node {
  const made = line.ref.startsWith("job_") ? make("a", "hash") : make("span", "hash");
  if (made instanceof HTMLAnchorElement) made.href = `/explorer/jobs/${line.ref}`;
  made.title = line.ref;
  made.textContent = short(line.ref);
  return made;
}

function when(at: number): Node {
  const made = make("time", "", ago(at, Date.now() / 1_000));
  made.dateTime = new Date(at * 1_000).toISOString();
  made.title = exact(at);
  made.dataset.at = String(at);
  return made;
}

function row(line: StatementLine): HTMLTableRowElement {
  const made = make("tr");
  made.setAttribute("role", "row");
  made.dataset.testid = "statement-line";
  const what = make("span", "", `${kinds[line.kind] ?? line.kind} `);
  what.append(make("span", "quiet", String(line.transfer)));
  made.append(
    cell("What", what),
    cell("Account", accounts[line.account] ?? line.account),
    cell("For", reference(line)),
    cell("Amount", (line.amount > 0 ? "+" : "") + amount(line.amount, token), "num"),
    cell("Balance after", amount(line.balance, token), "num"),
    cell("Time", when(line.at), "num"),
  );
  return made;
}

async function more(key: string): Promise<void> {
  const answer = await send(next === null ? PATH : `${PATH}?before=${next}`, key);
  const found = (await answer.json()) as Statement;
  next = found.next;
  table.tBodies[0]?.append(...found.lines.map(row));
  const lines = table.tBodies[0]?.rows.length ?? 0;
  table.hidden = download.hidden = lines === 0;
  none.hidden = lines > 0;
  setText(none, "Nothing was booked for this key yet.");
  earlier.hidden = next === null;
}

async function save(key: string): Promise<void> {
  const file = await (await send(`${PATH}.csv`, key, { headers: { accept: "text/csv" } })).blob();
  const link = make("a");
  link.href = URL.createObjectURL(file);
  link.download = "tabgrid-key.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Do `work`, with the button at rest meanwhile; what fails is said. */
async function during(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    none.hidden = false;
    setText(none, sentence(error));
  } finally {
    button.disabled = false;
  }
}

enhance();
const key = keptKey();
if (key) {
  earlier.addEventListener("click", () => void during(earlier, () => more(key)));
  download.addEventListener("click", () => void during(download, () => save(key)));
  void during(earlier, () => more(key));
} else setText(none, "This browser keeps no key. Create one in the playground first.");
