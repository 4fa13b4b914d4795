"""What the compute benches embed: sentences of one length, each different."""

from __future__ import annotations

SUBJECTS = (
    "a browser",
    "the grid",
    "one tab",
    "my phone",
    "this laptop",
    "a server",
    "her desktop",
    "our node",
)
ENDINGS = (
    "computes vectors for people who share a machine",
    "earns tokens while its owner reads the news",
    "answers short questions about many long texts",
    "waits for work until the next job arrives",
)


def sentences() -> list[str]:
    """32 texts of 10-12 words: about 14 tokens of BERT's each."""
    return [f"Today {subject} {ending}." for ending in ENDINGS for subject in SUBJECTS]
