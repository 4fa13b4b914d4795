from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server.statements import COLUMNS, _rows

TEXTS = st.text(st.sampled_from('=+-@\t\r\n",;abc \uff1d\uff0b'), max_size=8)


@given(st.lists(TEXTS, min_size=3, max_size=3), st.integers(-(2**53), 2**53))
def test_no_cell_is_a_formula_and_none_is_lost(texts: list[str], amount: int) -> None:
    """A spreadsheet runs texts that begin like a formula; a number it only reads."""
    [row] = csv.reader(io.StringIO(_rows([[*texts, amount]]), newline=""))
    assert int(row[-1]) == amount
    for cell, text in zip(row, texts, strict=False):
        assert cell.removeprefix("'") == text.removeprefix("'")
        assert not cell.startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))


def test_columns_are_said_once() -> None:
    assert _rows([COLUMNS]).startswith("time,kind,account,amount,balance,token,reference,")
