"""What somebody writes into a field for money is that amount, or none: the source in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.support.programs import missing

ROOT = Path(__file__).resolve().parents[2]
#: Bundles lib/format.ts and reads each text as an amount of a token with six decimals.
SCRIPT = """
import { build } from "esbuild";
import { readFileSync } from "node:fs";
const { outputFiles } = await build({
  entryPoints: ["web/src/lib/format.ts"], bundle: true, write: false, format: "esm",
});
const code = Buffer.from(outputFiles[0].contents).toString("base64");
const { units } = await import(`data:text/javascript;base64,${code}`);
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map((text) => units(text, 6))));
"""
AMOUNTS = {
    "5": 5_000_000,
    "2.5": 2_500_000,
    " .25 ": 250_000,
    "7.": 7_000_000,
    "1,500": 1_500_000_000,
    "1,234,567.25": 1_234_567_250_000,
    "0.000001": 1,
}
#: Of these each was once read as ten or a thousand times what most of the world means by it.
NONE = ("1,5", "1,50", "0,25", "12,34.5", "1,2345", ",5", "1,,000", "1000,000")
OTHERS = ("", ".", "abc", "-1", "1e5", "0.0000001", "99999999999999999999")


def test_a_comma_stands_before_three_digits_or_it_is_no_amount() -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "browser_node/node_modules/esbuild").exists():
        missing("there is no Node with esbuild here")
    texts = [*AMOUNTS, *NONE, *OTHERS]
    run = subprocess.run(
        [str(node), "--input-type=module", "-e", SCRIPT],
        cwd=ROOT / "browser_node", input=json.dumps(texts), capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    told = dict(zip(texts, json.loads(run.stdout), strict=True))
    assert told == AMOUNTS | dict.fromkeys([*NONE, *OTHERS])
