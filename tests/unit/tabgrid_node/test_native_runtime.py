from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tabgrid_models.manifest import Manifest, Variant
from tabgrid_node.hosts import CannotRun
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_node.testing import NoRuntime

VARIANT = Variant("only", "fp32", {"double": "graphs/double.onnx"}, (), 1)
MANIFEST = Manifest("m", "echo", "M", "", "MIT", "here", {}, (VARIANT,))


def write_graph(path: Path) -> None:
    """y = x + x, for any number of float32."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


@pytest.fixture
def runtime(tmp_path: Path) -> NativeRuntime:
    write_graph(tmp_path / "graphs" / "double.onnx")
    return NativeRuntime(MANIFEST, VARIANT, tmp_path, threads=1)


async def test_bytes_in_bytes_out(runtime: NativeRuntime) -> None:
    values = np.arange(3, dtype="<f4")
    tensor = runtime.tensor("float32", (3,), values.tobytes())
    outputs = await runtime.run("double", {"x": tensor})
    assert (outputs["y"].dtype, outputs["y"].shape) == ("float32", (3,))
    assert await outputs["y"].read() == (2 * values).tobytes()
    outputs["y"].dispose()
    outputs["y"].dispose()


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("float32", (2,), bytes(4)),
        ("float32", (1,), bytes(3)),
        ("object", (1,), bytes(8)),
        ("int64", (1, 2), bytes(8)),
    ],
)
def test_sizes_must_agree(
    runtime: NativeRuntime, dtype: str, shape: tuple[int], data: bytes
) -> None:
    with pytest.raises(ValueError, match=r"."):
        runtime.tensor(dtype, shape, data)


async def test_a_tensor_of_another_runtime_is_refused(runtime: NativeRuntime) -> None:
    with pytest.raises(TypeError, match="another runtime"):
        await runtime.run("double", {"x": NoRuntime()})  # type: ignore[dict-item]


@pytest.mark.parametrize("content", [None, b"", b"not a graph"])
def test_a_graph_that_cannot_be_loaded_is_a_reason(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "graphs" / "double.onnx"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CannotRun, match="onnxruntime cannot load it"):
        NativeRuntime(MANIFEST, VARIANT, tmp_path)


def test_a_model_without_tokeniser_says_so(runtime: NativeRuntime) -> None:
    with pytest.raises(LookupError):
        runtime.tokenizer()
