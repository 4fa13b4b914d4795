"""The tab's tokeniser (JavaScript) against its Python twin, on strings hard for both.

The very source that the worker bundles runs in Node here: the same V8, without a page.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.support import pictures
from tests.support.programs import missing

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "models/library/all-MiniLM-L6-v2/tokenizer.json"
#: Bundles worker/tokenizer.ts and encodes what comes in.
SCRIPT = """
import { build } from "esbuild";
import { readFileSync } from "node:fs";
const { outputFiles } = await build({
  entryPoints: ["web/src/worker/tokenizer.ts"], bundle: true, write: false, format: "esm",
});
const code = Buffer.from(outputFiles[0].contents).toString("base64");
const { TextTokenizer } = await import(`data:text/javascript;base64,${code}`);
const { file, texts, limit } = JSON.parse(readFileSync(0, "utf8"));
const tokenizer = new TextTokenizer(readFileSync(file));
console.log(JSON.stringify(tokenizer.encode(texts, limit)));
"""
#: (first, last) code points: what people write, and what they do not.
RANGES = (
    (0x20, 0x7E),
    (0x00, 0x1F),
    (0x7F, 0xFF),
    (0x100, 0x24F),
    (0x300, 0x36F),  # accents that combine
    (0x370, 0x3FF),
    (0x400, 0x4FF),
    (0x590, 0x5FF),
    (0x600, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x1100, 0x11FF),
    (0x1E00, 0x1EFF),
    (0x2000, 0x206F),  # joiners, direction marks, odd spaces
    (0x20A0, 0x20BF),
    (0x2190, 0x22FF),
    (0x3000, 0x303F),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xE000, 0xE0FF),  # private use
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFF00, 0xFFEF),
    (0x1F300, 0x1FAFF),
    (0x20000, 0x200FF),
)
KNOWN = (
    "",
    " ",
    "\t\n\r",
    "The quick brown fox.",
    "İstanbul ŞİŞLİ ß ﬁ Ǆ",
    "नमस्ते दुनिया",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪",
    "a\u0301 e\u0308 \u1e9b\u0323",
    "\u0000nul\u0000",
    "\ufeffmark",
    "[CLS] [SEP] [MASK] [UNK] [PAD]",
    "x" * 200,
    "word " * 400,
    "I'm don't they'll $3.50 100% a_b-c/d",
    "\u200bzero\u200cwidth\u200djoin\u2060",
    "你好\uff0c世界\uff01こんにちは 안녕하세요",
)


def nasty(count: int) -> list[str]:
    """Random text over all ranges, the same on every run."""
    dice = random.Random(20261123)
    return [
        "".join(chr(dice.randint(*dice.choice(RANGES))) for _ in range(dice.randint(1, 60)))
        for _ in range(count)
    ]


def encode_in_javascript(texts: list[str], limit: int, file: Path = TOKENIZER) -> list[list[int]]:
    node = shutil.which("node") or shutil.which("node", path=str(ROOT / ".set-up/node/bin"))
    if node is None or not (ROOT / "browser_node/node_modules/esbuild").exists():
        missing("there is no Node with the page's packages; ./build/test sets both up")
    done = subprocess.run(
        [str(node), "--input-type=module", "--eval", SCRIPT],
        cwd=ROOT / "browser_node",
        input=json.dumps({"file": str(file), "texts": texts, "limit": limit}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ids: list[list[int]] = json.loads(done.stdout)
    return ids


@pytest.mark.parametrize("limit", [8, 256])
def test_both_give_the_same_ids(limit: int) -> None:
    texts = [*KNOWN, *nasty(500)]
    twin = Tokenizer.from_file(str(TOKENIZER))
    twin.enable_truncation(limit)
    twin.no_padding()
    expected = [encoding.ids for encoding in twin.encode_batch(texts)]
    got = encode_in_javascript(texts, limit)
    wrong = [(t, e, g) for t, e, g in zip(texts, expected, got, strict=True) if e != g]
    assert wrong == []


@pytest.mark.parametrize("limit", [12, 77])
def test_both_read_prompts_alike(tmp_path: Path, limit: int) -> None:
    """CLIP's way: byte pairs within words, of letters as this V8 knows them."""
    twin = pictures.clip_tokenizer()
    file = tmp_path / "tokenizer.json"
    file.write_text(twin.to_str())
    twin.enable_truncation(limit)
    # Letters that are newer than this Python's tables may be newer than the twin's.
    letters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    words = [f"a{one}B" for one in letters if unicodedata.category(one) not in ("Cn", "Co")]
    known = [" ".join(words[at : at + 10]) for at in range(0, len(words), 10)]
    texts = [*KNOWN, *nasty(1000), "ΟΔΥΣΣΕΥΣ", pictures.START, f"a{pictures.END}b", *known]
    expected = [encoding.ids for encoding in twin.encode_batch(texts)]
    got = encode_in_javascript(texts, limit, file)
    assert [t for t, e, g in zip(texts, expected, got, strict=True) if e != g] == []


def test_every_character_is_read_alike() -> None:
    """Whatever Unicode tables this V8 has: the tab's are its own (build/bert-tables)."""
    words = [f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = [" ".join(words[at : at + 100]) for at in range(0, len(words), 100)]
    twin = Tokenizer.from_file(str(TOKENIZER))
    twin.no_padding()
    expected = [encoding.ids for encoding in twin.encode_batch(texts)]
    got = encode_in_javascript(texts, 100_000)
    assert [t for t, e, g in zip(texts, expected, got, strict=True) if e != g] == []


def test_the_tables_are_those_of_the_installed_tokenizers() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "build/bert-tables"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
