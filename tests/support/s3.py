"""An S3 server on a real socket: moto's, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import httpx

from tests.support.programs import free_port

BUCKET = "tabgrid"
READY_S = 60


@dataclass
class S3:
    """A running server with one bucket. Any credentials are right."""

    url: str

    def settings(self, prefix: str = "blobs") -> dict[str, str]:
        """The fields of [blobs] that lead here."""
        return {
            "url": f"s3://{BUCKET}/{prefix}",
            "endpoint": self.url,
            "region": "us-east-1",
            "access_key": "test",
            "secret_key": "test",
        }

    def names(self) -> list[str]:
        """What lies in the bucket."""
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            listing = client.get(f"/{BUCKET}", params={"list-type": "2"}).raise_for_status()
        found = ElementTree.fromstring(listing.content).findall(".//{*}Key")
        return [key.text or "" for key in found]


class S3Server:
    def __init__(self) -> None:
        port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in ``stop``
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.s3 = S3(f"http://127.0.0.1:{port}")
        self._wait()
        with httpx.Client(base_url=self.s3.url, trust_env=False) as client:
            client.put(f"/{BUCKET}").raise_for_status()

    def _wait(self) -> None:
        until = time.monotonic() + READY_S
        with httpx.Client(base_url=self.s3.url, trust_env=False) as client:
            while True:
                assert self._process.poll() is None, self._text()
                assert time.monotonic() < until, self._text()
                try:
                    client.get("/moto-api/data.json").raise_for_status()
                    return
                except httpx.TransportError:
                    time.sleep(0.05)

    def _text(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._log.close()
