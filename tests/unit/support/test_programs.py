"""Ports that tests start their programs at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.support import programs
from tests.support.programs import MARKS, free_port

ROOT = Path(__file__).resolve().parents[3]
#: A process of its own that may choose among a few ports only.
AMONG = """
import sys
from tests.support import programs
programs.PORTS = [int(port) for port in sys.argv[1:]]
print(programs.free_port())
"""


def test_no_port_is_given_twice_soon() -> None:
    ports = [free_port() for _ in range(MARKS)]
    assert len(set(ports)) == MARKS
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_what_one_process_was_given_no_other_is() -> None:
    taken, other = free_port(), free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", other))
        listener.listen()
        free = free_port()
        os.close(programs._marks.pop())
        command = [sys.executable, "-c", AMONG, str(taken), str(other), str(free)]
        told = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
    assert told.stdout == f"{free}\n"
