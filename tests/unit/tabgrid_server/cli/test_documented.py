"""Every command that README and the guides name exists, with the options they give it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tabgrid_server.cli import main

ROOT = Path(__file__).resolve().parents[4]
PAGES = [ROOT / "README.md", *sorted((ROOT / "server/tabgrid_server/docs").glob("*.md"))]
#: In a block of code at the start of a line or of a substitution, in text between backticks.
COMMAND = re.compile(r"(?:^|\$\(|`)tabgrid ([a-z][^`#\n)]*)", re.MULTILINE)


def documented() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in COMMAND.finditer(page.read_text("utf-8")):
            yield page.name, found[1].strip()


def follow(words: list[str]) -> tuple[click.Command, set[str]]:
    """The command that these words call, and the options that they may use on the way there."""
    command: click.Command = main.tabgrid
    options: set[str] = set()
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            continue  # an option of the group, or its value
        command = found
        options |= {name for each in command.params for name in each.opts}
    return command, options | {"--help"}


@pytest.mark.parametrize(("page", "words"), sorted(set(documented())))
def test_the_command_exists_with_its_options(page: str, words: str) -> None:
    parts = shlex.split(words)
    command, options = follow(parts)
    assert command is not main.tabgrid, f"{page}: there is no `tabgrid {parts[0]}`"
    given = {part for part in parts if part.startswith("--")}
    assert given <= options, f"{page}: `tabgrid {words}`"
    if isinstance(command, click.Group):
        assert given or parts[1:] == [], f"{page}: `tabgrid {words}` names no subcommand"


def test_there_are_commands_to_look_at() -> None:
    pages = {page for page, _ in documented()}
    assert {"README.md", "operators.md", "runbook.md", "node-owners.md"} <= pages
