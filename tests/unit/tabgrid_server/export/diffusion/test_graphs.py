"""Surgery on networks of a few nodes, checked against the formulas that it puts into them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tabgrid_server.export import ExportError
from tabgrid_server.export.diffusion import graphs, pixels
from tabgrid_server.export.diffusion.graphs import Frame

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
RANDOM = np.random.default_rng(5)
END = 7
COEFFICIENTS = np.array([0.5, 0.9, -0.3, 0.2, 1.1, -0.7], np.float32)


def network(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[object]]],
    outputs: dict[str, list[object]],
    **weights: np.ndarray,
) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, *value) for name, value in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def encoder(width: int, pooled: bool = False) -> onnx.ModelProto:
    """A table's rows; the state before the last one is the first one's double."""
    table = RANDOM.normal(size=(10, width)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["hidden_states.0"]),
        helper.make_node("Add", ["hidden_states.0", "hidden_states.0"], ["hidden_states.1"]),
        helper.make_node("Neg", ["hidden_states.1"], ["last_hidden_state"]),
        helper.make_node("Identity", ["last_hidden_state"], ["hidden_states.2"]),
    ]
    outputs = {"last_hidden_state": ["b", "t", width]}
    outputs |= {f"hidden_states.{n}": ["b", "t", width] for n in range(3)}
    if pooled:
        nodes.append(helper.make_node("ReduceMax", ["hidden_states.0", "tokens"], ["text_embeds"]))
        outputs["text_embeds"] = ["b", 1, width]
        nodes[-1].attribute.append(helper.make_attribute("keepdims", 0))
        outputs["text_embeds"] = ["b", width]
    tokens = np.array([1], np.int64)
    return network(nodes, {"input_ids": (INT64, ["b", "t"])}, outputs, table=table, tokens=tokens)


def unet(**more: list[object]) -> onnx.ModelProto:
    """sample x context's mean x timestep, plus the mean of whatever else it is told."""
    nodes = [
        helper.make_node("ReduceMean", ["encoder_hidden_states", "inner"], ["mean"]),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Mul", ["sample", "column"], ["product"]),
        helper.make_node("Mul", ["product", "timestep"], ["sum0"]),
    ]
    for number, name in enumerate(more):
        nodes += [
            helper.make_node("ReduceMean", [name], [f"{name}.mean"]),
            helper.make_node("Add", [f"sum{number}", f"{name}.mean"], [f"sum{number + 1}"]),
        ]
    nodes.append(helper.make_node("Identity", [f"sum{len(more)}"], ["out_sample"]))
    inputs = {
        "sample": (FLOAT, ["b", 3, "h", "w"]),
        "timestep": (FLOAT, []),
        "encoder_hidden_states": (FLOAT, ["b", "t", 4]),
        **{name: (FLOAT, shape) for name, shape in more.items()},
    }
    axes = {"inner": np.array([1, 2], np.int64), "last": np.array([3], np.int64)}
    return network(nodes, inputs, {"out_sample": ["b", 3, "h", "w"]}, **axes)


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def step_feeds(rows: int) -> dict[str, np.ndarray]:
    return {
        "latents": floats(1, 3, 4, 6),
        "noise": floats(1, 3, 4, 6),
        "context": floats(rows, 5, 4),
        "timestep": np.array([3.0], np.float32),
        "coefficients": COEFFICIENTS,
    }


def test_one_encoder_gives_its_last_state_and_nothing_else() -> None:
    source = encoder(4)
    table = numpy_helper.to_array(source.graph.initializer[0])
    model = graphs.text([source], Frame(1, 5, 3), None)
    ids = np.array([[1, 2, 3, END, END]])
    assert np.allclose(run(model, {"input_ids": ids})["context"], -2 * table[ids])
    assert [output.name for output in model.graph.output] == ["context"]


def test_two_encoders_stand_side_by_side_and_silence_is_only_the_first_rows() -> None:
    sources = [encoder(4), encoder(6, pooled=True)]
    tables = [numpy_helper.to_array(source.graph.initializer[0]) for source in sources]
    model = graphs.text(sources, Frame(2, 4, 3), END)
    ids = np.array([[1, END, END, END], [1, END, END, END]])
    other = np.array([[1, END, 0, 0], [1, END, 0, 0]])
    found = run(model, {"input_ids": ids, "input_ids_2": other})
    # Both rows are empty texts, but what is asked for is never silenced.
    assert not found["context"][0].any()
    assert not found["pooled"][0].any()
    states = np.concatenate([2 * tables[0][ids[1]], 2 * tables[1][other[1]]], axis=-1)
    assert np.allclose(found["context"][1], states)
    assert np.allclose(found["pooled"][1], tables[1][other[1]].max(axis=0))
    ids[0, 1] = other[0, 1] = 3
    spoken = run(model, {"input_ids": ids, "input_ids_2": other})
    assert np.allclose(spoken["context"][0, :, :4], 2 * tables[0][ids[0]])


@pytest.mark.parametrize(("height", "width"), [(4, 6), ("h", "w")])
def test_a_step_is_guidance_and_a_linear_map(height: int | str, width: int | str) -> None:
    model = graphs.step(unet(), Frame(2, 5, 3, height, width))
    feeds = {**step_feeds(2), "guidance": np.array([7.5], np.float32)}
    found = run(model, feeds)
    x, n, c = feeds["latents"], feeds["noise"], COEFFICIENTS
    without, wanted = (c[0] * x * row.mean() * 3.0 for row in feeds["context"])
    m = without + 7.5 * (wanted - without)
    assert np.allclose(found["next"], c[1] * x + c[2] * m + c[3] * n, atol=1e-5)
    assert np.allclose(found["denoised"], c[4] * x + c[5] * m, atol=1e-5)


def test_without_guidance_there_is_no_input_for_it() -> None:
    model = graphs.step(unet(), Frame(1, 5, 3))
    feeds = step_feeds(1)
    found = run(model, feeds)
    x, n, c = feeds["latents"], feeds["noise"], COEFFICIENTS
    m = c[0] * x * feeds["context"].mean() * 3.0
    assert np.allclose(found["next"], c[1] * x + c[2] * m + c[3] * n, atol=1e-5)
    assert {value.name for value in model.graph.input} == set(feeds)


def test_noise_is_an_input_even_where_no_step_uses_it() -> None:
    feeds = {**step_feeds(1), "coefficients": COEFFICIENTS * [1, 1, 1, 0, 1, 1]}
    feeds["coefficients"] = feeds["coefficients"].astype(np.float32)
    model = graphs.step(unet(), Frame(1, 5, 3))
    quiet = run(model, {**feeds, "noise": np.zeros_like(feeds["noise"])})
    assert np.array_equal(run(model, feeds)["next"], quiet["next"])


def test_sizes_and_the_pooled_text_are_passed_on() -> None:
    model = graphs.step(unet(text_embeds=["b", 8], time_ids=["b", 6]), Frame(1, 5, 3))
    feeds = {**step_feeds(1), "pooled": floats(1, 8), "time_ids": floats(1, 6)}
    x, c = feeds["latents"], COEFFICIENTS
    m = c[0] * x * feeds["context"].mean() * 3.0 + feeds["pooled"].mean() + feeds["time_ids"].mean()
    assert np.allclose(run(model, feeds)["denoised"], c[4] * x + c[5] * m, atol=1e-5)


def test_a_guidance_that_was_distilled_in_is_a_constant() -> None:
    told = graphs.guidance_embedding(8.5, 32)
    assert told.shape == (1, 32)
    assert told[0, 0] == pytest.approx(np.sin(7500.0), abs=1e-3)
    model = graphs.step(unet(timestep_cond=["b", 32]), Frame(1, 5, 3), told)
    feeds = step_feeds(1)
    m = COEFFICIENTS[0] * feeds["latents"] * feeds["context"].mean() * 3.0 + told.mean()
    wanted = COEFFICIENTS[4] * feeds["latents"] + COEFFICIENTS[5] * m
    assert np.allclose(run(model, feeds)["denoised"], wanted, atol=1e-5)


def test_a_network_that_takes_something_else_is_refused() -> None:
    with pytest.raises(ExportError, match="controlnet"):
        graphs.step(unet(controlnet=["b", 4]), Frame(1, 5, 3))


def test_pixels_are_scaled_clamped_and_rounded_to_even() -> None:
    node = helper.make_node("Identity", ["latent_sample"], ["sample"])
    decoder = network(
        [node], {"latent_sample": (FLOAT, [1, 3, "h", "w"])}, {"sample": [1, 3, "h", "w"]}
    )
    model = pixels.decode(decoder, Frame(1, 5, 3), 1, (2.0, 2.0, 2.0), (0.0, 0.0, 0.25))
    latents = floats(1, 3, 4, 6)
    shown = 2 * latents + np.array([0, 0, 0.25], np.float32)[:, None, None]
    wanted = np.rint(np.clip(127.5 * shown + 127.5, 0, 255)).astype(np.uint8)
    rgba = run(model, {"latents": latents})["rgba"]
    assert rgba.dtype == np.uint8
    assert np.array_equal(rgba[..., :3], wanted[0].transpose(1, 2, 0))
    assert (rgba[..., 3] == 255).all()


def test_a_preview_is_a_linear_map() -> None:
    colours, offsets = 100 * floats(3, 4), np.array([100.0, 128.0, 90.0], np.float32)
    model = pixels.preview(colours, offsets, Frame(1, 5, 4, 2, 3), 18)
    latents = floats(1, 4, 2, 3)
    levels = np.einsum("rc,chw->hwr", colours, latents[0]) + offsets
    rgba = run(model, {"latents": latents})["rgba"]
    assert rgba.shape == (2, 3, 4)
    assert np.abs(rgba[..., :3] - np.clip(levels, 0, 255)).max() <= 0.51
