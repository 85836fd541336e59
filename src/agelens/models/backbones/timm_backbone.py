"""Any network of timm, by its name there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, cast

import timm
from timm.models import PretrainedCfg
from torch import Tensor

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.models.backbones import BACKBONES
from agelens.models.backbones.base import Backbone, RGBNumbers
from agelens.models.backbones.position_grids import position_biases, position_embedding
from agelens.models.backbones.timm_stages import timm_stages

_EARLY_REDUCTION = 8
"""Early features are those of the last stage that reduces the chip by no more than this."""


class TimmBackbone(Backbone):
    """A network of timm (Wightman, PyTorch Image Models) without its classifier.

    Pooling is the network's own: an average, or the class token.

    Args:
        name: timm's, with or without the tag of its weights: ``resnet50``, ``resnet50.a1_in1k``.
        size: side of the chips in pixels; None is the side of timm's weights. Transformers are
            built for the size, a whole number of patches.
        drop_rate: dropout of the features.
        drop_path_rate: stochastic depth, where the network has it; None is the network's own.

    Raises:
        UnknownNameError: timm has no network or no tag of that name.
        UsageError: a size or an option that the network cannot have.
    """

    net: Any  # networks of timm share attributes that no type names

    def __init__(
        self,
        name: str,
        size: int | None = None,
        drop_rate: float = 0.0,
        drop_path_rate: float | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        configuration = _configuration(name)
        self.size = self.checked(size or configuration.input_size[-1])
        self.made_with: dict[str, Any] = (
            {"img_size": self.size} if configuration.fixed_input_size else {}
        )
        self.net = _create(
            name, drop_rate=drop_rate, drop_path_rate=drop_path_rate, **self.made_with
        )
        _check_patches(self.net, name, self.size)
        self.mean = cast(RGBNumbers, tuple(configuration.mean))
        self.std = cast(RGBNumbers, tuple(configuration.std))
        self.features = self.net.head_hidden_size
        self._early = _early_index([info["reduction"] for info in self.net.feature_info])
        self.early_features = self.net.feature_info[self._early]["num_chs"]
        self.stages = timm_stages(self.net)
        self.beyond = _classifiers(configuration.classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, features] of normalised chips [B, 3, size, size]."""
        features: Tensor = self.net(images)
        return features

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, features], and pooled ones of an early stage, from one pass."""
        last, (early,) = self.net.forward_intermediates(images, indices=[self._early])
        features: Tensor = self.net.forward_head(last)
        return features, early.mean((2, 3))

    def resampled(self, name: str, weight: Tensor) -> Tensor | None:
        """Position embeddings and relative position biases, brought to the grid of our size."""
        bare = name.removeprefix("net.")
        if bare == "pos_embed" and weight.ndim == 3:
            return position_embedding(self.net, weight)
        if bare.endswith(".relative_position_bias_table") and weight.ndim == 2:
            return position_biases(self.net.get_submodule(bare.rpartition(".")[0]), weight)
        return None


def published_weights(backbone: Backbone) -> dict[str, Tensor]:
    """The weights that timm publishes for `backbone`, from its cache or over the network.

    Raises:
        UsageError: the backbone is not one of timm's.
        CardError: there are none, or they are not in the cache and cannot be fetched.
    """
    if not isinstance(backbone, TimmBackbone):
        raise UsageError(f"{backbone.name!r} is no network of timm, which has no weights for it")
    if not _configuration(backbone.name).has_weights:
        raise CardError(f"timm publishes no weights of {backbone.name!r}")
    try:  # with its classifier, so that timm too accepts nothing but a full match
        net = timm.create_model(backbone.name, pretrained=True, **backbone.made_with)
    except OSError as error:
        raise CardError(
            f"timm's weights of {backbone.name!r} are neither in its cache nor could they be "
            f"fetched: {error} Without network, give a file, or weights that a package ships "
            "(packaged)."
        ) from error
    weights: dict[str, Tensor] = net.state_dict()
    return weights


def _configuration(name: str) -> PretrainedCfg:
    architecture, _, tag = name.partition(".")
    known = timm.is_model(architecture)
    tagged = timm.list_pretrained(f"{architecture}.*") if known else []
    configuration = timm.get_pretrained_cfg(name) if known and (not tag or name in tagged) else None
    if configuration is None:
        near = difflib.get_close_matches(name, tagged or timm.list_models(), n=3)
        nearest = f", of which the nearest are {', '.join(near)}" if near else ""
        raise UnknownNameError("backbone", name, BACKBONES, f" Or any network of timm{nearest}.")
    return configuration


def _create(name: str, **options: Any) -> Any:
    try:
        net = timm.create_model(name, num_classes=0, **options)
    except TypeError as error:
        given = {key: value for key, value in options.items() if value is not None}
        raise UsageError(f"timm's {name} cannot be made with {given}: {error}") from error
    if not hasattr(net, "forward_intermediates"):
        raise UsageError(f"timm's {name} gives no early features; take another backbone")
    return net


def _check_patches(net: Any, name: str, size: int) -> None:
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
    if patch is not None and size % patch[0]:
        nearest = max(1, round(size / patch[0])) * patch[0]
        raise UsageError(
            f"{name} sees patches of {patch[0]} pixels: a size of {size} is not a whole number of "
            f"them, {nearest} is"
        )


def _early_index(reductions: list[int]) -> int:
    """The last stage within `_EARLY_REDUCTION`; a third of the depth where all have the same."""
    within = [place for place, by in enumerate(reductions) if by <= _EARLY_REDUCTION]
    return within[-1] if within else (len(reductions) - 1) // 3


def _classifiers(names: str | Iterable[str] | None) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else names or ()
    return tuple(f"{name}." for name in listed)
