"""What a model is made of, as a configuration names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from torch import nn

from agelens.data.training_input.network_input import Words
from agelens.errors import UnknownNameError
from agelens.models.age_model import AgeModel, StandardisedChips
from agelens.models.auxiliary import AUXILIARY, AuxiliaryHeads, AuxiliaryTask
from agelens.models.backbones import BuiltBackbone, build_backbone
from agelens.models.methods.base import AgeMethod
from agelens.tables import GENDERS


class BackboneChoice:
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
        options: further arguments of the backbone.
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
        options: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.weights = weights
        self.size = size
        self.partial = partial
        self.head = head
        self.fold_batch_norm = fold_batch_norm
        self.standardise = standardise
        self.options = dict(options or {})

    def build(self) -> BuiltBackbone:
        """The backbone with its starting weights; raises as `build_backbone` does."""
        return self._build(self.weights)

    def build_empty(self) -> BuiltBackbone:
        """The backbone alone, for weights that come from a run."""
        return self._build("random")

    def entry(self) -> nn.Module | None:
        """What chips pass before the backbone."""
        return StandardisedChips() if self.standardise else None

    def _build(self, weights: str | Path) -> BuiltBackbone:
        return build_backbone(
            self.name,
            weights=weights,
            size=self.size,
            partial=self.partial,
            fold_batch_norm=self.fold_batch_norm,
            **self.options,
        )


class AuxiliaryChoice:
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


def age_model(
    built: BuiltBackbone,
    method: AgeMethod,
    auxiliary: AuxiliaryChoice,
    words: Words,
    entry: nn.Module | None = None,
) -> AgeModel:
    """The whole network."""
    backbone = built.backbone
    heads = auxiliary.build(words, backbone.features, backbone.early_features)
    return AgeModel(backbone, method, heads, entry=entry)
