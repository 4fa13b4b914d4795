"""A hundred texts on which an exported model must agree with its original.

Short and long, many scripts, code, emoji, nearly empty, exactly as long as the model reads
and longer. They are also the inputs of the test that exports again.
"""

from __future__ import annotations

import json
from importlib import resources

_PARAGRAPH = (
    "An open grid of computers lends its spare time to whoever needs it. Its owners are paid "
    "for answers that can be checked, and nobody has to trust anybody. "
)


def texts(max_tokens: int) -> tuple[str, ...]:
    """One hundred texts; the last ones are about as long as the model reads, and longer."""
    file = resources.files(__package__) / "texts.json"
    short = json.loads(file.read_text(encoding="utf-8"))
    odd, english, languages = short["odd"], short["english"], short["languages"]
    word = "grid "
    long = (
        word * (max_tokens - 3),
        # With the two special tokens exactly as long as the model reads, and one longer.
        word * (max_tokens - 2),
        word * (max_tokens - 1),
        _PARAGRAPH * 2,
        _PARAGRAPH * 5,
        _PARAGRAPH * 8,
        _PARAGRAPH * 40,
        "".join(languages),
        "\n".join(english),
        "\N{GRINNING FACE} " * max_tokens,
        "\u4f60\u597d" * max_tokens,
        " ".join(str(number) for number in range(max_tokens)),
        " ".join(reversed(english)),
    )
    return (*odd, *english, *languages, *long)
