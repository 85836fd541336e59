"""What a layout is: whose files, how they are recognised, and the network that they fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import onnx
import pandas as pd
from torch import Tensor, nn

from agelens.ages import AgeScale
from agelens.data.training_input.geometry import IMAGENET_MEAN, IMAGENET_STD
from agelens.errors import CardError, UsageError
from agelens.importing.contents import Contents
from agelens.inference.answers import OutputSpec
from agelens.models.age_model import AgeModel
from agelens.models.backbones.weights import REFUSED, KeyLine, KeyReport
from agelens.recognition.purification import PurifiedBranch

Task: TypeAlias = Literal["age", "embedding"]
Numbers: TypeAlias = Sequence[float]

UNKNOWN: Final = "not stated in the file"
_TOLD: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipChoice:
    """The chips of a layout, as its authors' own code makes them, and where that is written.

    `mean` and `std` are of pixels from 0 to 1, red, green and blue. Where the authors cut faces
    in a way that agelens does not have, `source` says what stands in for it.
    """

    size: int
    mean: Numbers = IMAGENET_MEAN
    std: Numbers = IMAGENET_STD
    alignment: Literal["similarity", "rotate-crop"] = "similarity"
    template: str = "arcface-112"
    margin: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user says of a file, because the file does not.

    Args:
        ages: an age scale, ``15-40``, or the CSV file of a list with a column ``age``, whose
            different ages are taken.
        size: side of the chips in pixels.
        arch: name of the network.
        task: what of a file that holds both.
        threshold: above which a rank counts.
    """

    ages: str | None = None
    size: int | None = None
    arch: str | None = None
    task: Task = "age"
    threshold: float | None = None

    def check(self, layout: Layout) -> None:
        """Refuse what `layout` would not look at.

        Raises:
            UsageError: something is said that means nothing there; the message names it.
        """
        default = Choices()
        for choice in fields(self):
            name, said = choice.name, getattr(self, choice.name)
            if said != getattr(default, name) and name not in layout.takes:
                raise UsageError(
                    f"--{name} means nothing for {layout.owner} (--from {layout.name}); it takes "
                    f"{', '.join(f'--{taken}' for taken in layout.takes) or 'none such'}"
                )


@dataclass(frozen=True, slots=True, eq=False)
class OnnxNetwork:
    """A network that comes as a graph.

    Args:
        original: as its file has it.
        answering: with any number of chips in, and one answer out as agelens reads it.
        spec: what the ages of the answer are.
        told: see `AgeModel.told`.
    """

    original: onnx.ModelProto
    answering: onnx.ModelProto
    spec: OutputSpec
    told: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A network with the file's weights in it.

    Args:
        network: to be exported.
        keys: what became of every key.
        backbone: what it is called.
        method: what a card calls the way of learning.
        size: side of its chips; None for the layout's.
        mean: where the file states another one than the layout's.
        std: likewise.
        notes: what a user has to know, one sentence each.
    """

    network: AgeModel | PurifiedBranch | OnnxNetwork
    keys: KeyReport
    backbone: str
    method: str
    size: int | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One system's files.

    Args:
        name: what ``--from`` calls it.
        owner: whose files these are.
        paper: of the method, or of the system.
        chips: see there.
        recognises: whether a file looks like one of these; None where no file tells.
        fill: the network that a file describes, with its weights.
        takes: which of `Choices` mean anything here.
        notes: what is to be known of every file of this layout.
    """

    name: str
    owner: str
    paper: str
    chips: ChipChoice
    fill: Callable[[Contents, Choices], Filled]
    recognises: Callable[[Contents], bool] | None = None
    takes: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


class Move(NamedTuple):
    """A key of a file: `name` is ours, empty for what only training needs."""

    source: str
    name: str
    tensor: Tensor


def fill(
    network: nn.Module,
    contents: Contents,
    moves: Iterable[Move],
    label: str,
    *,
    own: tuple[str, ...] = (),
) -> KeyReport:
    """Load the tensors of `moves` into `network`, all or nothing.

    Args:
        network: it is set to evaluation.
        contents: where the moves come from.
        moves: one for each key of the file.
        label: what the network is called.
        own: beginnings of names that no file has: counters and what training keeps.

    Raises:
        CardError: a key is left over, missing, of another shape, or there twice.
    """
    state = network.state_dict()
    lines: list[KeyLine] = []
    taken: dict[str, Tensor] = {}
    for source, name, tensor in moves:
        found = tuple(tensor.shape)
        expected = tuple(state[name].shape) if name in state else None
        if name in taken:
            raise CardError(f"{contents.path}: two of its keys are {name}; one is {source}")
        if not name:
            lines.append(KeyLine("unused", source=source))
        elif expected is None:
            lines.append(KeyLine("unexpected", source=source, found=found))
        elif expected != found:
            lines.append(KeyLine("mismatched", name, source, expected, found))
        else:
            lines.append(KeyLine("taken" if name == source else "renamed", name, source))
            taken[name] = tensor
    claimed = taken.keys() | {line.name for line in lines}
    lines += [
        KeyLine("missing", name, expected=tuple(value.shape))
        for name, value in state.items()
        if name not in claimed and not name.startswith(own) and not name.endswith(_COUNTER)
    ]
    report = KeyReport(label, contents.path.name, tuple(lines))
    if refused := report.of(*REFUSED):
        more = f" and {len(refused) - _TOLD} more" if len(refused) > _TOLD else ""
        listed = "; ".join(" ".join(str(line).split()) for line in refused[:_TOLD])
        raise CardError(f"{contents.path}: its keys do not fit {label}: {listed}{more}")
    network.load_state_dict(taken, strict=False)
    network.eval()
    return report


_COUNTER: Final = "num_batches_tracked"


def moves_into(contents: Contents, prefix: str, aside: tuple[str, ...] = ()) -> list[Move]:
    """Every key under its own name behind `prefix`; those that begin as `aside` says, unused."""
    return [
        Move(source, "" if source.startswith(aside) else f"{prefix}{source}", tensor)
        for source, tensor in contents.tensors.items()
    ]


def age_scale(
    contents: Contents, classes: int, ages: str | None, known: dict[int, str]
) -> AgeScale:
    """The ages of the `classes` outputs of an age layer.

    Args:
        contents: whose layer it is.
        classes: how many it has.
        ages: see `Choices`; None for what is `known` of that many.
        known: scales by their number of ages.

    Raises:
        CardError: another number of ages, or one of which nothing is known.
        UsageError: `ages` is no age scale, nor a list.
    """
    if ages is None:
        if classes not in known:
            raise CardError(
                f"{contents.path}: its age layer has {classes} ages, and which ones they are does "
                f"not lie in the file: give them (--ages 15-{14 + classes}), or the list that it "
                "was trained on, whose different ages they are (--ages list.csv)"
            )
        return AgeScale.parse(known[classes])
    scale = _listed(Path(ages)) if ages.lower().endswith(".csv") else _parsed(ages)
    if len(scale) != classes:
        raise CardError(
            f"{contents.path}: its age layer has {classes} ages, and --ages {ages} names "
            f"{len(scale)}"
        )
    return scale


def _parsed(ages: str) -> AgeScale:
    try:
        return AgeScale.parse(ages)
    except ValueError as error:
        raise UsageError(f"--ages: {error}") from error


def _listed(path: Path) -> AgeScale:
    try:
        column = pd.read_csv(path)["age"]
        return AgeScale(tuple(sorted(float(age) for age in column.unique())))
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"--ages {path}: no list with a column age ({error})") from error
