"""From a prompt to the first preview and to the picture, through the whole grid.

The coordinator, its database, the sign-in, the socket and the node in a tab are real; the
client posts a job and follows it by server-sent events. The plain loop takes turns in the
same page: what a picture would take if nobody else had to know of it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click
import httpx
import msgspec
from solders.keypair import Keypair

from tabgrid_models.catalogue import choose_variant
from tabgrid_models.drawing import TextToImageInput

from .client import job_body
from .picture_contenders import Plain
from .picture_figures import PLAIN
from .picture_setting import Bench, asked_of
from .picture_work import config_of, work
from .report import Figure, against
from .start_up import become_ready

#: The slowest step there is to wait for.
TIMEOUT_S = 600
ENDED = ("done", "failed", "cancelled")


class Seen(NamedTuple):
    """Seconds from the prompt."""

    #: None where the picture showed none.
    preview: float | None
    picture: float


def through_the_grid(bench: Bench) -> list[Figure]:
    """On WASM, in as many steps as the model takes by itself or the options say."""
    asked = asked_of(bench.manifest, bench.options, "wasm")
    task = work(asked, config_of(bench.manifest))
    begun = task.to_first_preview()
    with bench.page("grid") as (context, page), _client(bench.url) as client:
        threads = bench.threads(page)
        become_ready(page, context, bench.url, Keypair(), threads)
        plain = Plain(page, bench.scripts, bench.manifest)
        variant = choose_variant(bench.manifest, (), 0)
        assert variant, "a tab just ran it"
        plain.start(variant, "wasm", threads)
        seen: list[Seen] = []
        alone: list[Seen] = []
        for _ in range(bench.options.repeats + 1):
            seen.append(_drawn(client, bench.manifest.id, asked))
            preview = plain.draw(begun).ms / 1000 if begun else None
            alone.append(Seen(preview, plain.draw(task).ms / 1000))
    return figures(seen[1:], alone[1:])  # the first warms what it uses


@contextmanager
def _client(url: str) -> Iterator[httpx.Client]:
    """With a key of its own."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        made = client.post("/api/keys", json={"label": "bench"}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {made.json()['key']}"
        yield client


def _drawn(client: httpx.Client, model: str, asked: TextToImageInput) -> Seen:
    began = time.perf_counter()
    body = job_body(model, **msgspec.to_builtins(asked))
    job = client.post("/api/jobs", content=body).raise_for_status().json()["id"]
    preview, name = None, ""
    with client.stream("GET", f"/api/jobs/{job}/events") as answer:
        for line in answer.raise_for_status().iter_lines():
            kind, _, value = line.partition(":")
            if kind == "event":
                name = value.strip()
            elif kind == "data" and name == "preview":
                preview = preview or time.perf_counter() - began
            elif kind == "data" and (row := json.loads(value))["state"] in ENDED:
                picture = time.perf_counter() - began
                if row["state"] != "done":
                    raise click.ClickException(f"The grid failed to draw: {row['error']}")
                return Seen(preview, picture)
    raise click.ClickException("The job's events broke off.")


def figures(seen: list[Seen], alone: list[Seen]) -> list[Figure]:
    note = f"median of {len(seen)} jobs"
    found = []
    previews = [one.preview for one in seen if one.preview is not None]
    begun = [one.preview for one in alone if one.preview is not None]
    if previews and begun:
        name = "through the grid: prompt to first preview"
        first = Figure("pictures", name, statistics.median(previews), "s", note=note)
        found.append(against(first, f"{PLAIN}, s", statistics.median(begun)))
    name = "through the grid: prompt to the job's end"
    whole = statistics.median(one.picture for one in seen)
    figure = Figure("pictures", name, whole, "s", note=note)
    return [*found, against(figure, f"{PLAIN}, s", statistics.median(o.picture for o in alone))]
