"""Files that a tab can take: shards under the limit, and a graph that still runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tabgrid_server.export import shards
from tests.support.gather import MATRIX, ROWS, TABLE, model


def answer(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    products: np.ndarray = session.run(None, {"ids": np.arange(ROWS)})[0]
    return products


def test_a_small_model_is_one_file(tmp_path: Path) -> None:
    (path,) = shards.save(model(), tmp_path, "small")
    assert np.allclose(answer(path), TABLE @ MATRIX, atol=1e-4)


@pytest.mark.parametrize(("limit", "pieces"), [(TABLE.nbytes + 2048, 2), (50_000, 6)])
def test_large_models_are_sharded_and_still_run(tmp_path: Path, limit: int, pieces: int) -> None:
    files = shards.save(model(), tmp_path, "big", limit=limit)
    assert files[0].name == "big.onnx"
    assert [file.name for file in files[1:]] == [f"big-{n + 1:05}.bin" for n in range(pieces)]
    # The second limit is less than either matrix: both are cut, and joined on loading.
    assert all(file.stat().st_size <= limit for file in files)
    assert np.allclose(answer(files[0]), TABLE @ MATRIX, atol=1e-4)
