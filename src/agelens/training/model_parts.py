"""What a model is made of, as a configuration names it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentError, ArgumentParser
from safetensors.torch import save
from torch import nn

from agelens.atomic import write_atomically
from agelens.data.training_input.chip_dataset import Words
from agelens.errors import UnknownNameError, UsageError
from agelens.models.age_model import AgeModel, StandardisedChips
from agelens.models.auxiliary import AUXILIARY, AuxiliaryHeads, AuxiliaryTask
from agelens.models.backbones import (
    Backbone,
    BuiltBackbone,
    KeyReport,
    build_backbone,
    flush_subnormals,
    is_import_path,
)
from agelens.models.methods.base import AgeMethod
from agelens.recorded import Recorded, arguments_of, import_path, imported
from agelens.tables import GENDERS


class BackboneChoice(Recorded):
    """A backbone, and the weights that it starts from.

    Args:
        name: of our own or of timm's.
        weights: ``random``, ``packaged``, ``timm``, or a file.
        size: side of the network's input in pixels; the backbone's own by default.
        partial: accept weights that do not fit throughout; what did not is listed.
        head: ``packaged`` starts a method's linear head from the one that came with packaged
            weights (`agelens.models.age_model`), ``random`` does not.
        fold_batch_norm: make each batch norm part of the convolution before it: frozen
            statistics, and a third less time a step.
        standardise: give the network each chip with its own brightness and contrast taken
            out (`agelens.models.age_model`).
        neck: width of a further linear layer between the backbone and every head.
        dropout: of the features, before the neck, above 0 and below 1.
        neck_activation: ``relu`` behind the neck; none by default.
        options: further arguments of the backbone.

    Raises:
        UsageError: a neck that is none, dropout out of range, an activation without a neck, or
            a packaged head behind a neck.
    """

    def __init__(
        self,
        name: str = "dlib-resnet10",
        *,
        weights: str = "random",
        size: int | None = None,
        partial: bool = False,
        head: Literal["random", "packaged"] = "random",
        fold_batch_norm: bool = False,
        standardise: bool = False,
        neck: int | None = None,
        dropout: float | None = None,
        neck_activation: Literal["relu"] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        if neck is not None and neck < 1:
            raise UsageError(f"a neck has 1 number or more, got {neck}")
        if dropout is not None and not 0 <= dropout < 1:
            raise UsageError(f"dropout is from 0 to below 1, got {dropout}")
        if neck is None and neck_activation is not None:
            raise UsageError("neck_activation is of a neck: give backbone.neck as well")
        if neck is not None and head == "packaged":
            raise UsageError("a packaged head has no neck before it: leave out one of the two")
        self.name = name
        self.neck_width = neck
        self.dropout = dropout
        self.neck_activation = neck_activation
        self.weights = weights
        self.size = size
        self.partial = partial
        self.head = head
        self.fold_batch_norm = fold_batch_norm
        self.standardise = standardise
        self.options = dict(options or {})

    @property
    def label(self) -> str:
        """What tables and cards call it: a class of the user's by its own name."""
        return self.name.rpartition(".")[2] if is_import_path(self.name) else self.name

    def stated(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - one that is given needs it
        """Its arguments, as the configuration of a run in `folder` has them."""
        return arguments_of(self)

    def build(self) -> BuiltBackbone:
        """The backbone with its starting weights; raises as `build_backbone` does."""
        return self._build(self.weights)

    def build_empty(self) -> BuiltBackbone:
        """The backbone alone, for weights that come from a run."""
        return self._build("random")

    def entry(self) -> nn.Module | None:
        """What chips pass before the backbone."""
        return StandardisedChips() if self.standardise else None

    def neck(self, features: int) -> nn.Module | None:
        """What `features` pass before the heads; None where that is nothing."""
        layers: list[nn.Module] = []
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        if self.neck_width is not None:
            layers.append(nn.Linear(features, self.neck_width))
        if self.neck_activation is not None:
            layers.append(nn.ReLU())
        return nn.Sequential(*layers) if layers else None

    def _build(self, weights: str | Path) -> BuiltBackbone:
        return build_backbone(
            self.name,
            weights=weights,
            size=self.size,
            partial=self.partial,
            fold_batch_norm=self.fold_batch_norm,
            **self.options,
        )


class GivenBackbone(BackboneChoice):
    """A backbone that was made already: what it weighs is where training starts.

    A run's folder keeps those weights, so that it can be resumed without the object.

    Args:
        backbone: the object; each run trains a copy.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(import_path(type(backbone)))
        self._backbone = backbone
        self._content = save(backbone.state_dict())

    def stated(self, folder: Path) -> dict[str, Any]:
        """Its class with its options, and the file in `folder` that has its weights."""
        return {
            "name": self.name,
            "weights": str(self._file(folder)),
            "options": arguments_of(self._backbone),
        }

    def keep_weights(self, folder: Path) -> None:
        """Write the weights into `folder`; raises OutputError where that fails."""
        write_atomically(self._file(folder), self._content)

    def build(self) -> BuiltBackbone:
        """A copy of the object."""
        backbone = copy.deepcopy(self._backbone)
        flushed = flush_subnormals(backbone)
        return BuiltBackbone(backbone, KeyReport(self.name, "the object given", flushed=flushed))

    def _file(self, folder: Path) -> Path:
        digest = hashlib.sha256(self._content).hexdigest()[:12]
        return folder.resolve() / f"starting-weights-{digest}.safetensors"


class AuxiliaryChoice(Recorded):
    """Columns to learn beside the age.

    Args:
        way: ``parallel`` or ``feeds-age``; see `agelens.models.auxiliary`.
        columns: words of the sample table, such as ``gender``, with the weight of their loss.

    Raises:
        UnknownNameError: another way.
    """

    def __init__(self, way: str = "parallel", columns: dict[str, float] | None = None) -> None:
        if way not in AUXILIARY:
            raise UnknownNameError("way of auxiliary heads", way, AUXILIARY)
        self.way = way
        self.columns = dict(columns or {})

    @property
    def words(self) -> Words:
        """Vocabulary by column, empty where the data are to tell."""
        return {column: GENDERS if column == "gender" else () for column in self.columns}

    def build(self, words: Words, features: int, early_features: int) -> AuxiliaryHeads | None:
        """Heads for the columns, whose classes are `words`; None where there are none."""
        tasks = [AuxiliaryTask(name, words[name], w) for name, w in self.columns.items()]
        return AUXILIARY[self.way](tasks, features, early_features) if tasks else None


def add_parts(parser: ArgumentParser) -> None:
    """Let `parser` have options for all that a model is made of."""
    parser.add_subclass_arguments(AgeMethod, "method", required=True)
    parser.add_class_arguments(BackboneChoice, "backbone")
    parser.add_class_arguments(AuxiliaryChoice, "auxiliary")


def not_importable(path: str) -> str:
    """What to tell where a run needs a class that this process does not know."""
    name = path.rpartition(".")[2]
    if not path.startswith("__main__."):
        return f"{path} cannot be imported here: put the file that defines {name} on Python's path"
    return (
        f"{name} was defined in a notebook or script, which only that one can import: define it "
        f"here too, under the same name, or put it in a file and train with that"
    )


def make_parts(config: Mapping[str, Any]) -> tuple[AgeMethod, BackboneChoice, AuxiliaryChoice]:
    """What a model is made of, by a resolved configuration in plain types.

    Raises:
        UsageError: something cannot be made here, such as a method that a notebook defined.
    """
    parser = ArgumentParser(exit_on_error=False)
    add_parts(parser)
    try:
        parts = {name: config[name] for name in ("method", "backbone", "auxiliary")}
        objects = parser.instantiate(parser.parse_object(parts))
    except (ArgumentError, KeyError) as error:
        path = config["method"].get("class_path", "") if "method" in config else ""
        if path and imported(path) is None:
            raise UsageError(not_importable(path)) from error
        raise UsageError(f"a configuration that cannot be followed here: {error}") from error
    return objects.method, objects.backbone, objects.auxiliary


def age_model(
    built: BuiltBackbone,
    method: AgeMethod,
    auxiliary: AuxiliaryChoice,
    words: Words,
    choice: BackboneChoice | None = None,
) -> AgeModel:
    """The whole network; `choice` says what is before and behind the backbone."""
    backbone, choice = built.backbone, choice or BackboneChoice()
    width = choice.neck_width or backbone.features
    neck = choice.neck(backbone.features)
    heads = auxiliary.build(words, width, backbone.early_features)
    return AgeModel(backbone, method, heads, entry=choice.entry(), neck=neck, width=width)
