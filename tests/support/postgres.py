"""A PostgreSQL server of the tests' own, in a folder that goes with them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from set_up.debian import find_postgres
from tests.support.programs import free_port

#: Durability is not what these tests are about, and fsync is most of their time.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=127.0.0.1")


class Postgres:
    """One server; `make_database()` gives each test its own."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not pytest's own folder: PostgreSQL refuses to run as root, and no other account
        # may look into that.
        self._folder = Path(tempfile.mkdtemp(prefix="tabgrid-pg-"))
        self._account = "postgres" if os.geteuid() == 0 else None
        if self._account:
            entry = pwd.getpwnam(self._account)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        self._port = free_port()
        self._count = 0
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "tabgrid", "-A", "trust", "-E", "UTF8", "--no-sync")
        flags = [word for setting in FAST for word in ("-c", setting)]
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-p", str(self._port), "-k", "", *flags],
                user=self._account,
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [self._programs / program, *arguments],
            user=self._account,
            cwd=self._folder,
            capture_output=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.returncode

    def _connect(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self._port), "-U", "tabgrid")

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while self._run("pg_isready", *self._connect(), check=False):
            log = (self._folder / "log").read_text()
            assert self._server.poll() is None, log
            assert time.monotonic() < until, log
            time.sleep(0.05)

    def make_database(self) -> str:
        """SQLAlchemy's URL of a new, empty database."""
        self._count += 1
        name = f"test_{self._count}"
        self._run("createdb", *self._connect(), name)
        return f"postgresql+asyncpg://tabgrid@127.0.0.1:{self._port}/{name}"

    def stop(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:  # a connection was left open
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self._folder)


def start_postgres() -> Postgres | None:
    """A server, or None where there is no PostgreSQL."""
    programs = find_postgres()
    return Postgres(programs) if programs else None
