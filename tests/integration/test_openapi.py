"""The description at /openapi.json against what the server really does, by schemathesis."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import EchoGrid

#: Endless by nature: a stream ends when its reader leaves.
STREAMS = ("/api/events", "/api/jobs/{job}/events")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


async def test_the_description_is_of_openapi_3_1(echo_grid: EchoGrid) -> None:
    async with echo_grid.client() as client:
        described = (await client.get("/openapi.json")).json()
    assert described["openapi"] == "3.1.0"
    for path in ("/v1/embeddings", "/api/jobs", "/api/claims", "/api/receipts/{job}"):
        assert path in described["paths"]


@pytest.mark.timeout(600)
async def test_schemathesis_finds_no_difference(echo_grid: EchoGrid) -> None:
    key = await echo_grid.make_key()
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{echo_grid.url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS)]
    # The same requests each time: what others would find is looked for by hand, with other seeds.
    command += ["--max-examples", "15", "--phases", "examples,coverage,fuzzing", "--no-color"]
    command += ["--seed", os.environ.get("SCHEMATHESIS_SEED", "1")]
    for path in STREAMS:
        command += ["--exclude-path", path]
    run = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    output = (await asyncio.wait_for(run.communicate(), 570))[0].decode()
    assert run.returncode == 0, output[-8000:]
    # It must have called what there is, or its silence proves nothing.
    tested = re.search(r"Tested: (\d+)", output)
    assert tested, output
    assert int(tested[1]) >= 20


def test_httpx_can_read_the_documented_errors(echo_grid: EchoGrid) -> None:
    answer = httpx.get(f"{echo_grid.url}/api/jobs", params={"limit": "many"}, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "limit"
