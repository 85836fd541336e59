"""An ONNX model whose weights mean nothing any more, for the sanity check of heat maps.

Within each layer the weights are shuffled, so that their distribution stays what it was
and nothing else does.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

from agelens.errors import UsageError
from agelens.inference.cards import CARD_FILE
from agelens.inference.estimator import AgeEstimator

_FIXED: Final = "fitting."
"""Names of weights that only resize chips begin so, in what agelens exports."""


def shuffled_estimator(estimator: AgeEstimator, share: float, seed: int) -> AgeEstimator:
    """An estimator like `estimator`, with the weights of some layers shuffled.

    Args:
        estimator: of a model with ONNX weights.
        share: of the layers, counted from the answer back to the chip, in (0, 1].
        seed: of the shuffling.

    Raises:
        UsageError: the model's weights are no ONNX file.
    """
    card = estimator.card
    if card.weights_suffix != ".onnx":
        raise UsageError(
            f"the sanity check shuffles the weights of ONNX files; {card.name} has "
            f"{card.weights.name}. Name its run folder with a gradient method, or its ONNX export"
        )
    content = shuffled_onnx(card.read_weights(), share, seed)
    document = dict(card.document)
    document["weights"] = {"path": "model.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    with TemporaryDirectory(prefix="agelens-") as folder:
        (Path(folder) / "model.onnx").write_bytes(content)
        (Path(folder) / CARD_FILE).write_text(json.dumps(document), encoding="utf-8")
        return AgeEstimator(folder, estimator.detector, workers=estimator.workers)


def shuffled_onnx(content: bytes, share: float, seed: int) -> bytes:
    """The network in `content`, the weights of the layers nearest its answer shuffled.

    Args:
        content: a self-contained ONNX file.
        share: of the layers, in (0, 1].
        seed: of the shuffling.
    """
    model = onnx.load_from_string(content)
    weights = {w.name: w for w in model.graph.initializer if math.prod(w.dims) > 1}
    used = [name for node in model.graph.node for name in node.input if name in weights]
    layers = [
        weights[name]
        for name in dict.fromkeys(reversed(used))
        if len(weights[name].dims) >= 2 and not name.startswith(_FIXED)
    ]
    random = np.random.default_rng(seed)
    for layer in layers[: math.ceil(share * len(layers))]:
        values = numpy_helper.to_array(layer)
        shuffled = random.permutation(values.ravel()).reshape(values.shape)
        layer.CopyFrom(numpy_helper.from_array(shuffled, layer.name))
    return bytes(model.SerializeToString())
