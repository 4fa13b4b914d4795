"""A command's logs beside the tests' own."""

from __future__ import annotations

import logging

from structlog.testing import capture_logs

from tabgrid_server.chain import transport
from tabgrid_server.observe import configure_logs
from tests.support.logs import own_logs


def test_what_a_command_sets_up_for_its_logs_ends_with_it() -> None:
    before = list(logging.root.handlers), logging.root.level
    with own_logs():
        configure_logs("console", "error")
        transport.log.error("of the command")
    with capture_logs() as told:
        transport.log.warning("of a later test")
    assert [each["event"] for each in told] == ["of a later test"]
    assert (logging.root.handlers, logging.root.level) == before
