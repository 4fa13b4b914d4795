"""The job that computes nothing."""

from __future__ import annotations

import msgspec
import pytest

from tabgrid_models import catalogue
from tabgrid_models.connectors.base import InvalidInput, InvalidOutput
from tabgrid_models.connectors.echo import MAX_CHARACTERS, Echo, EchoInput, EchoOutput
from tests.support.models import Progress, manifest, runtime

ECHO = Echo()
MODEL = manifest("echo")


async def test_echo_answers_itself_and_passes_its_golden_test() -> None:
    for input, wanted in catalogue.golden(MODEL):
        assert isinstance(input, EchoInput)
        output = await ECHO.run(input, MODEL, runtime("echo"), Progress())
        ECHO.check(input, output, MODEL)
        assert output == wanted


def test_echo_needs_no_files() -> None:
    chosen = catalogue.choose_variant(MODEL, (), 1)
    assert chosen is not None
    assert catalogue.download_bytes(MODEL, chosen) == 0


def test_another_answer_is_refused_and_compares_as_wrong() -> None:
    with pytest.raises(InvalidOutput):
        ECHO.check(EchoInput("a"), EchoOutput("b"), MODEL)
    assert ECHO.compare(EchoOutput("a"), EchoOutput("a"), "none").agrees
    assert not ECHO.compare(EchoOutput("a"), EchoOutput("b"), "none").agrees


def test_an_echo_costs_one_job_and_has_a_limit() -> None:
    assert ECHO.usage(EchoInput("a"), MODEL, None).units == 1
    ECHO.validate(EchoInput("x" * MAX_CHARACTERS), MODEL)
    with pytest.raises(InvalidInput):
        ECHO.validate(EchoInput("x" * (MAX_CHARACTERS + 1)), MODEL)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"text": "x" * (MAX_CHARACTERS + 1)}, EchoInput)
