"""Fixtures for all tests, and how they are shared out among workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.grid import Grid
from tests.support.postgres import Postgres, start_postgres
from tests.support.programs import Programs, free_port, missing
from tests.support.s3 import S3, S3Server

ROOT = Path(__file__).resolve().parent.parent
#: What takes longest starts first, so that no worker is left alone with it at the end.
ORDER = ("export", "browser", "integration", "chain", "bench", "properties", "unit")

#: How long an example takes is the machine's affair, and says nothing of what is tested.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("untimed", UNTIMED)
settings.load_profile("untimed")
#: For `tabgrid bench chaos`, which has the time.
settings.register_profile("long", UNTIMED, max_examples=2_000)


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {kind: place for place, kind in enumerate(ORDER)}
    items.sort(key=lambda item: rank.get(_kind(item), len(ORDER)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The whole time of ./build/test, set-up and static checks included."""
    started = os.environ.get("BUILD_TEST_STARTED")
    if started:
        minutes, seconds = divmod(time.time() - float(started), 60)
        terminalreporter.write_line(f"./build/test took {minutes:.0f} min {seconds:.0f} s in all")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs that end with the test."""
    running = Programs(tmp_path / "programs")
    yield running
    running.stop()


@pytest.fixture
def make_grid(tmp_path: Path) -> Iterator[Callable[..., Grid]]:
    """make_grid(settings="", database="") -> a Grid of this test alone, not yet started."""
    made: list[Grid] = []

    def make(**options: str) -> Grid:
        made.append(Grid(tmp_path / f"grid-{len(made)}", **options))
        return made[-1]

    yield make
    for grid in made:
        grid.stop()


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A whole grid with one native node, shared by a file's tests."""
    running = Grid(tmp_path_factory.mktemp("grid"))
    try:
        yield running.start(nodes=1)
    finally:
        running.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres | None]:
    server = start_postgres()
    yield server
    if server:
        server.stop()


@pytest.fixture
def postgres_url(postgres_server: Postgres | None) -> str:
    """SQLAlchemy's URL of a new, empty PostgreSQL database."""
    if postgres_server is None:
        missing("there is no PostgreSQL here (Debian: apt install postgresql)")
    assert postgres_server is not None
    return postgres_server.make_database()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 server with an empty bucket."""
    server = S3Server()
    yield server.s3
    server.stop()


@pytest.fixture(scope="session")
def export_python() -> Path:
    """The interpreter of the export environment, which has torch and optimum."""
    python = ROOT / ".venv-export" / "bin" / "python"
    if not python.exists():
        missing("there is no export environment; ./build/test --export makes it")
    return python
