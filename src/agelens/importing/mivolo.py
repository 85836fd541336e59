"""MiVOLO's checkpoints: VOLO-D1 on faces alone, or on a face and its body."""

from __future__ import annotations

from typing import Any, Final

import torch
from timm.layers.bottleneck_attn import PosEmbedRel
from timm.layers.mlp import Mlp
from timm.models.volo import VOLO
from torch import Tensor, nn

from agelens.data.training_input.geometry import IMAGENET_MEAN, IMAGENET_STD
from agelens.errors import CardError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import NO_SPREAD, ImportedNetwork, YearsWithSpread
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, fill, moves_into
from agelens.models.methods.regression import L2Regression

_RANGE: Final = ("min_age", "max_age", "avg_age")
_BODY: Final = "patch_embed.conv1.0.weight"
_HEAD_WIDTH: Final = 32  # of VOLO-D1: 192 / 6 and 384 / 12


class _Fusion(nn.Module):
    """Maps of face and body [B, D, H, W] each that look at each other, made one of [B, D, H, W].

    Section 3.2 of Kuprashevich and Tolstykh, 2023: each asks and the other answers, by attention
    of one head with relative positions; both results, normalised together, pass two layers.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.width, self.scale = width, width**-0.5
        self.qkv_f = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.qkv_p = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.pos_embed = PosEmbedRel((side, side), dim_head=width, scale=self.scale)
        self.norm = nn.LayerNorm([2 * width, side, side])
        self.mlp = Mlp(2 * width, 4 * width, width, use_conv=True)

    def forward(self, face: Tensor, body: Tensor) -> Tensor:
        """The fused maps."""
        of_face = [part.flatten(2) for part in self.qkv_f(face).chunk(3, dim=1)]
        of_body = [part.flatten(2) for part in self.qkv_p(body).chunk(3, dim=1)]
        seen = [
            self._attended(asked[0], answering).view_as(face)
            for asked, answering in ((of_face, of_body), (of_body, of_face))
        ]
        fused: Tensor = self.mlp(self.norm(torch.cat(seen, dim=1)))
        return fused

    def _attended(self, query: Tensor, answering: list[Tensor]) -> Tensor:
        asks = query.transpose(1, 2)
        weights = (asks @ answering[1]) * self.scale + self.pos_embed(asks)
        seen: Tensor = weights.softmax(dim=-1) @ answering[2].transpose(1, 2)
        return seen.transpose(1, 2)


class _FaceAndBody(nn.Module):
    """Patches of a face [B, 3, S, S] beside those of a body that is not there.

    An absent body is a black chip, normalised, as the authors' code has it.
    """

    absent: Tensor

    def __init__(self, stem: Any, body_stem: Any, fusion: _Fusion) -> None:
        super().__init__()
        self.conv1, self.conv2 = stem.conv, body_stem.conv
        self.proj1, self.proj2 = stem.proj, body_stem.proj
        self.map = fusion
        black = -torch.tensor(IMAGENET_MEAN) / torch.tensor(IMAGENET_STD)
        self.register_buffer("absent", black[:, None, None], persistent=False)

    def forward(self, face: Tensor) -> Tensor:
        """Fused patches."""
        body = self.absent.expand_as(face)
        fused: Tensor = self.map(self.proj1(self.conv1(face)), self.proj2(self.conv2(body)))
        return fused


def _network(contents: Contents, size: int, outputs: int) -> VOLO:
    """VOLO as wide and deep as the file's."""
    # In timm's list, a step that halves the map stands between the first stage and the others.
    stages = [contents.count(f"network.{place}.{{}}.norm1.") for place in (0, 2, 3, 4)]
    first, later = (contents.shape(f"network.{place}.0.norm1.weight") for place in (0, 2))
    hidden = contents.shape("network.0.0.mlp.fc1.weight")
    stem = contents.shape("patch_embed.conv.0.weight") or contents.shape(_BODY)
    if not (first and later and hidden and stem):
        raise CardError(f"{contents.path}: no VOLO in it (stages {stages})")
    widths = [first[0], later[0], later[0], later[0]]

    def make() -> VOLO:
        return VOLO(
            layers=stages,
            img_size=size,
            num_classes=outputs,
            stem_hidden_dim=stem[0],
            embed_dims=widths,
            num_heads=[width // _HEAD_WIDTH for width in widths],
            mlp_ratio=hidden[0] / hidden[1],
            use_aux_head=contents.holds("aux_head.weight"),
        )

    network = make()
    if contents.holds(_BODY):
        fusion = _Fusion(first[0], size // 8)
        both = _FaceAndBody(network.patch_embed, make().patch_embed, fusion)
        network.add_module("patch_embed", both)
    return network


def _fill(contents: Contents, choices: Choices) -> Filled:
    outputs, positions = contents.shape("head.weight"), contents.shape("pos_embed")
    if len(positions) != 4 or outputs[:1] not in ((1,), (3,)):
        raise CardError(f"{contents.path}: a head with 1 or 3 outputs and positions are MiVOLO's")
    low, high, mean = (_number(contents, name) for name in _RANGE)
    network = _network(contents, positions[1] * 16, outputs[0])
    tells = outputs[0] == 3
    ages = choices.ages or f"{max(0, int(low))}-{int(high)}"
    model = ImportedNetwork(
        network,
        L2Regression(ages),
        YearsWithSpread(high - low, mean),
        slice(2, 3) if tells else slice(1),
        {"gender": (("male", "female"), slice(2))} if tells else {},
    )
    keys = fill(model, contents, moves_into(contents, "network.", ("fds.",)), "MiVOLO's network")
    body = (_ABSENT,) if contents.holds(_BODY) else ()
    return Filled(
        network=model,
        keys=keys,
        backbone="volo-d1" + (", face and body" if body else ""),
        method=L2Regression.name,
        size=positions[1] * 16,
        notes=(NO_SPREAD, *body),
    )


_ABSENT: Final = (
    "It was trained on faces with their bodies: no body is shown to it here, which its authors' "
    "code calls an absent one."
)


def _number(contents: Contents, name: str) -> float:
    value: Any = contents.facts.get(name)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise CardError(
            f"{contents.path}: {', '.join(_RANGE)} lie beside the weights of MiVOLO's "
            f"checkpoints, and {name} is {value!r}: without them its answer has no years"
        ) from error


LAYOUT: Final = Layout(
    name="mivolo",
    owner="MiVOLO (WildChlamydia/MiVOLO)",
    paper="Kuprashevich and Tolstykh, MiVOLO: Multi-input Transformer for Age and Gender "
    "Estimation, 2023",
    chips=ChipChoice(
        size=224,
        margin=-0.02,  # the longer side of retinaface's box: the median over 55 photos
        source="data/misc.py: the detector's box, letterboxed in black to 224 pixels, ImageNet's "
        "mean and deviation. A square as large as the box, turned upright, stands in.",
    ),
    recognises=lambda contents: (
        contents.holds("pos_embed", "post_network.0.norm1.weight")
        and (contents.holds(_BODY) or contents.holds("patch_embed.conv.0.weight"))
    ),
    fill=_fill,
    takes=("ages",),
)
