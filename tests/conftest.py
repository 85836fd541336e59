"""Fixtures that every test may use."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema
import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import skimage.data
from hypothesis import settings
from PIL import Image

# Before torch is loaded: two threads gain nothing on tensors this small, and wait for each
# other where several processes share the cores. Subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests import forked

from agelens.cli import main
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB

NOT_FORESEEN = "This was not foreseen"
"""What a command says where an exception got through: in no test of ours is that right."""

# The same examples in every run, and no failure because another process had the cores.
settings.register_profile("agelens", derandomize=True, deadline=None)
settings.load_profile("agelens")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real faces beside the checkout; the test skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real faces are not on this machine")
    return folder


@pytest.fixture(scope="session")
def check_document() -> Callable[[str, str | bytes], None]:
    """Check a JSON text against the schema of that name on the site; unknown keys fail."""
    from documents import schema  # pydantic, which few tests need

    return lambda name, text: jsonschema.validate(json.loads(text), schema(name, strict=True))


@pytest.fixture(scope="session")
def astronaut() -> RGB:
    """The public-domain photo of scikit-image [512, 512, 3], one face; not to be written to."""
    rgb = np.array(skimage.data.astronaut())
    rgb.setflags(write=False)
    return rgb


@pytest.fixture(scope="session")
def astronaut_png(astronaut: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut as PNG: the same pixels as the array."""
    path = tmp_path_factory.mktemp("astronaut") / "astronaut.png"
    Image.fromarray(astronaut).save(path)
    return path


@pytest.fixture(scope="session")
def astronaut_jpeg(astronaut: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut as JPEG."""
    path = tmp_path_factory.mktemp("astronaut") / "astronaut.jpg"
    Image.fromarray(astronaut).save(path, quality=95)
    return path


@pytest.fixture(scope="session")
def head(astronaut: RGB) -> RGB:
    """The astronaut's head [96, 96, 3], quick to search, with one face."""
    crop = Image.fromarray(astronaut).crop((130, 10, 320, 200))
    return np.asarray(crop.resize((96, 96), Image.Resampling.LANCZOS))


@pytest.fixture(scope="session")
def estimator() -> AgeEstimator:
    """The default estimator, shared: it takes no harm from use."""
    return AgeEstimator()


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its JSON Lines, parsed."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def agelens() -> Callable[..., Ran]:
    """Runs the command in this process: ``agelens("estimate", path, stdin=b"...")``."""
    return _run


def _run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    typed = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "stdin", typed):
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as refused:  # argparse
                status = int(refused.code or 0)
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)
    ran = Ran(status, *(stream.buffer.getvalue().decode() for stream in _flushed(out, err)))
    assert NOT_FORESEEN not in ran.err, ran.err
    return ran


def _flushed(*streams: io.TextIOWrapper) -> list[Any]:
    for stream in streams:
        stream.flush()
    return list(streams)


@pytest.fixture(scope="session")
def toy_network() -> Callable[..., bytes]:
    """Writes a network whose class k is likelier the more of channel k % 3 a chip has."""
    return _toy_network


def _toy_network(  # a keyword for each way in which a file may not be its card's
    *,
    batch: str | int = "N",
    channels: int = 3,
    size: int = 16,
    classes: int = 81,
    kind: int = onnx.TensorProto.FLOAT,
    last: str = "Softmax",
) -> bytes:
    weights = np.zeros((channels, classes), dtype=onnx.helper.tensor_dtype_to_np_dtype(kind))
    weights[np.arange(classes) % channels, np.arange(classes)] = 4
    nodes = [
        onnx.helper.make_node("ReduceMean", ["chip"], ["means"], axes=[2, 3], keepdims=0),
        onnx.helper.make_node("MatMul", ["means", "weights"], ["scores"]),
        onnx.helper.make_node(last, ["scores"], ["answer"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "toy",
        [onnx.helper.make_tensor_value_info("chip", kind, [batch, channels, size, size])],
        [onnx.helper.make_tensor_value_info("answer", kind, [batch, classes])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    opset = onnx.helper.make_opsetid("", 17)
    content: bytes = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[opset]
    ).SerializeToString()
    return content


@pytest.fixture(scope="session")
def write_card() -> Callable[..., Path]:
    """Writes `card.json` and its weights into a folder; see `_write_card`."""
    return _write_card


def _write_card(
    folder: Path,
    content: bytes | None = None,
    change: Callable[[dict[str, Any]], Any] = lambda _: None,
) -> Path:
    """A good card over `content` (the toy network), once `change` has been at it."""
    content = _toy_network() if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.onnx").write_bytes(content)
    document: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "task": "age",
        "summary": "a toy",
        "weights": {"path": "toy.onnx", "sha256": hashlib.sha256(content).hexdigest()},
        "input": {
            "size": 16,
            "color_order": "RGB",
            "mean": [0, 0, 0],
            "std": [255, 255, 255],
            "alignment": "similarity",
            "template": "arcface-112",
            "margin": 0.0,
        },
        "output": {"kind": "posterior", "ages_years": list(range(81))},
        "trained_on": [],
        "metrics": [],
        "calibration": None,
        "licences": {"code": "MIT", "weights": "none", "data": "none"},
        "paper": "none",
    }
    change(document)
    path = folder / "card.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def bright_store() -> Callable[..., Path]:
    """Makes a chip store whose chips are the brighter the older; see `_bright_store`."""
    return _bright_store


def _bright_store(
    folder: Path, *, samples: int = 48, size: int = 32, seed: int = 0, **columns: Any
) -> Path:
    """Noisy chips of ages 5 to 79, two of each subject; `columns` replace those of the table."""
    from agelens.data.store import prepare
    from agelens.tables import SampleTable

    chance = np.random.default_rng(seed)
    ages = chance.integers(5, 80, samples)
    noise = chance.normal(0, 12, (samples, size, size, 3))
    chips = np.clip(2.5 * ages[:, None, None, None] + noise, 0, 255).astype(np.uint8)

    def picture(_: str, path: str) -> bytes:
        file = io.BytesIO()
        Image.fromarray(chips[int(path)]).save(file, "PNG")
        return file.getvalue()

    table = {
        "sample_id": [f"{folder.name}/{row}" for row in range(samples)],
        "dataset": folder.name,
        "path": [str(row) for row in range(samples)],
        "age_years": ages.astype(float),
        "age_kind": "real",
        "gender": ["female", "male", None] * (samples // 3) + [None] * (samples % 3),
        "subject": [f"s{row // 2}" for row in range(samples)],
    }
    options: dict[str, Any] = {"aligned": True, "size": size, "encoding": "png"}
    prepare(SampleTable.from_columns(table | columns), folder, root=picture, **options)
    return folder


@pytest.fixture
def killed_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., forked.Ended]:
    """Runs `agelens WORDS` until it calls ``module:function`` once more than `count` times.

    A function may be a class's, or of a module that the module imports: ``module:Class.method``.
    """

    def run(
        function: str, count: int, *words: object, set_first: dict[str, Any] | None = None
    ) -> forked.Ended:
        log = tmp_path_factory.mktemp("killed") / "log.txt"
        first = partial(forked.kill_at, function, count, set_first or {})
        return forked.end(forked.start(*words, log=log, first=first), log)

    return run
