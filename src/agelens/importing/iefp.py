"""IEFP's files: the age branch by itself, and the whole model with both branches."""

from __future__ import annotations

from functools import partial
from typing import Final

from torch import nn

from agelens.errors import CardError, UsageError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import AgeBands, ImportedNetwork
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, Move, fill
from agelens.models.backbones import iresnet
from agelens.models.methods.dex import DEX
from agelens.recognition.age_groups import IEFP_CUTOFFS
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.identity_bundle import PAPER

_NETWORKS: Final = (
    iresnet.IResNet18,
    iresnet.IResNet34,
    iresnet.IResNet50,
    iresnet.IResNet100,
    iresnet.IResNet200,
)
_GROUPS: Final = [0, *(cutoff + 1 for cutoff in IEFP_CUTOFFS)]
_STRIDES: Final = 16
_BLOCKS: Final = (0, 1, 2)


def _branch(contents: Contents, prefix: str) -> PurifiedBranch:
    """An empty branch as wide, deep and large as the file's."""
    depths = tuple(contents.count(f"{prefix}layer{layer}.{{}}.") for layer in (1, 2, 3, 4))
    kind = next((kind for kind in _NETWORKS if kind.blocks == depths), None)
    fc = contents.shape(f"{prefix}fc.weight")
    widths = [contents.shape(f"{prefix}layer{n}.0.conv1.weight")[:1] for n in (1, 2, 3, 4)]
    if kind is None or len(fc) != 2 or not all(widths):
        raise CardError(
            f"{contents.path}: no iResNet under {prefix or 'any name'} (blocks {depths})"
        )
    one, two, three, four = (width for (width,) in widths)
    size = _STRIDES * round((fc[1] / four) ** 0.5)
    network = kind(size, widths=(one, two, three, four), embedding=fc[0])
    blocks = sum(contents.holds(f"{prefix}spu.seq.{place}.weight") for place in (2, 5))
    return PurifiedBranch(network, _BLOCKS[blocks])


def _in_branch(rest: str, to: str) -> str:
    if not rest.startswith("spu.seq."):
        return f"{to}backbone.net.{rest}"
    place, _, weight = rest.removeprefix("spu.seq.").partition(".")
    block, layer = divmod(int(place), 3) if place.isdigit() else (place, "")
    return f"{to}purification.impurity.{block}.{layer}.{weight}"


def _moves(contents: Contents, prefix: str, to: str, aside: tuple[str, ...]) -> list[Move]:
    def named(source: str) -> str:
        if source.startswith(prefix):
            return _in_branch(source.removeprefix(prefix), to)
        if source.startswith("age_estimator.") and to:
            return source.replace("age_estimator.", "network.1.")
        return "" if source.startswith(aside) else source

    return [Move(source, named(source), tensor) for source, tensor in contents.tensors.items()]


def _age(contents: Contents, prefix: str, aside: tuple[str, ...]) -> Filled:
    branch = _branch(contents, prefix)
    bands = AgeBands(_GROUPS)
    method = DEX(str(bands.scale))
    head = nn.Linear(branch.features, len(_GROUPS))
    model = ImportedNetwork(nn.Sequential(branch, head), method, bands, slice(None))
    moves = _moves(contents, prefix, "network.0.", aside)
    keys = fill(model, contents, moves, "IEFP's age branch")
    return Filled(
        network=model,
        keys=keys,
        backbone=branch.backbone.name,
        method="iefp, age groups by cross entropy",
        size=branch.backbone.size,
        notes=(bands.note,),
    )


_ASIDE: Final = ("backbone_id.", "margin_fc.", "clubmi.")
_IDENTITY_ASIDE: Final = ("backbone_ae.", "margin_fc.", "clubmi.", "age_estimator.")


def _whole(contents: Contents, choices: Choices) -> Filled:
    if choices.task == "age":
        return _age(contents, "backbone_ae.", _ASIDE)
    branch = _branch(contents, "backbone_id.")
    moves = _moves(contents, "backbone_id.", "", _IDENTITY_ASIDE)
    keys = fill(branch, contents, moves, "IEFP's identity branch")
    return Filled(
        network=branch,
        keys=keys,
        backbone=branch.backbone.name,
        method="iefp",
        size=branch.backbone.size,
    )


def _age_alone(contents: Contents, choices: Choices) -> Filled:
    if choices.task != "age":
        raise UsageError(f"{contents.path}: the age branch alone tells no people apart")
    return _age(contents, "backbone.", ())


_layout = partial(
    Layout,
    paper=PAPER,
    chips=ChipChoice(
        size=112,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        source="train.py: chips as MS1MV3 has them, resized to 112 pixels, (x - 0.5) / 0.5.",
    ),
)
AGE_BRANCH: Final = _layout(
    name="iefp-age",
    owner="IEFP's age branch (JeffersonXie/IEFP)",
    recognises=lambda contents: contents.holds("backbone.conv1.weight", "age_estimator.weight"),
    fill=_age_alone,
    takes=("task",),
)
WHOLE: Final = _layout(
    name="iefp",
    owner="IEFP's whole model (JeffersonXie/IEFP)",
    recognises=lambda contents: contents.holds("backbone_ae.conv1.weight", "backbone_id.fc.weight"),
    fill=_whole,
    takes=("task",),
)
