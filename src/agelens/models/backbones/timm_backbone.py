"""Any network of timm, by its name there."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import isqrt
from typing import Any, Final, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import timm
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple
from timm.models import PretrainedCfg, group_parameters
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.models.backbones import BACKBONES
from agelens.models.backbones.base import Backbone, RGBNumbers


def timm_stages(net: Any) -> tuple[tuple[str, ...], ...]:
    """The groups of timm's layers, each as the fewest prefixes that name it."""
    groups: Mapping[int, list[str]] = group_parameters(net, net.group_matcher(coarse=True))
    owners: dict[str, set[int]] = defaultdict(set)
    for group, names in groups.items():
        for name in names:
            for prefix in _prefixes(name):
                owners[prefix].add(group)
    return tuple(
        tuple(
            dict.fromkeys(
                f"net.{next(prefix for prefix in _prefixes(name) if len(owners[prefix]) == 1)}"
                for name in groups[group]
            )
        )
        for group in sorted(groups)
    )


def _prefixes(name: str) -> list[str]:
    """From the first part to the whole name: ``layer1.``, ``layer1.0.``, ..."""
    parts = name.split(".")
    return [*accumulate(f"{part}." for part in parts[:-1]), name]


def position_embedding(net: Any, weight: Tensor) -> Tensor | None:
    """`weight` [1, tokens, width] for the patches of `net`; None if it is of no square grid."""
    tokens = 0 if getattr(net, "no_embed_class", False) else getattr(net, "num_prefix_tokens", 1)
    if not _is_square(weight.shape[1] - tokens):
        return None
    embedding: Tensor = resample_abs_pos_embed(
        weight, new_size=list(net.patch_embed.grid_size), num_prefix_tokens=tokens
    )
    return embedding


def position_biases(attention: Any, weight: Tensor) -> Tensor | None:
    """`weight` [pairs, heads] for the window of `attention`; None if it is of no square one."""
    if not _is_square(len(weight)):
        return None
    # Not timm's other way, which indexes in a manner that torch is giving up.
    biases: Tensor = resize_rel_pos_bias_table_simple(
        weight, attention.window_size, tuple(attention.relative_position_bias_table.shape)
    )
    return biases


def _is_square(count: int) -> bool:
    return count > 0 and isqrt(count) ** 2 == count


_HUB_FILES: Final = ("model.safetensors", "pytorch_model.bin")
_PATIENCE_SECONDS: Final = 10
_EARLY_REDUCTION = 8
"""Early features are those of the last stage that reduces the chip by no more than this."""


class TimmBackbone(Backbone):
    """A network of timm (Wightman, PyTorch Image Models) without its classifier.

    Pooling is the network's own: an average, or the class token.

    Args:
        name: timm's, with or without the tag of its weights: ``resnet50``, ``resnet50.a1_in1k``.
        size: side of the chips in pixels; None is the side of timm's weights. Transformers are
            built for the size; of one that is no whole number of patches, a plain vision
            transformer leaves the last pixels out, and others are refused.
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
    _check_reachable(backbone.name)
    try:  # with its classifier, so that timm too accepts nothing but a full match
        net = timm.create_model(backbone.name, pretrained=True, **backbone.made_with)
    except OSError as error:
        raise CardError(_not_fetched(backbone.name, error)) from error
    weights: dict[str, Tensor] = net.state_dict()
    return weights


def _check_reachable(name: str) -> None:
    """Ask once for what is not in the cache: timm's own way tries for a minute before it gives up.

    Raises:
        CardError: nobody answers.
    """
    home = _configuration(name).hf_hub_id
    if home is None or any(
        isinstance(try_to_load_from_cache(home, file), str) for file in _HUB_FILES
    ):
        return
    request = Request(hf_hub_url(home, _HUB_FILES[0]), method="HEAD")  # noqa: S310 - https
    try:
        urlopen(request, timeout=_PATIENCE_SECONDS).close()  # noqa: S310
    except HTTPError:
        return  # somebody answers; whatever it is, timm says it better
    except OSError as error:
        raise CardError(_not_fetched(name, error)) from error


def _not_fetched(name: str, error: OSError) -> str:
    return (
        f"timm's weights of {name!r} are neither in its cache nor could they be fetched: {error} "
        "Without network, copy the cache of a machine that has them (HF_HOME), give a file "
        "(backbone.weights FILE), or take weights that a package ships (packaged) or none (random)."
    )


def _configuration(name: str) -> PretrainedCfg:
    architecture, _, tag = name.partition(".")
    known = timm.is_model(architecture)
    tagged = timm.list_pretrained(f"{architecture}.*") if known else []
    configuration = timm.get_pretrained_cfg(name) if known and (not tag or name in tagged) else None
    if configuration is None and name in RENAMED:
        raise UnknownNameError("backbone", name, BACKBONES, f" {_other_name(name)}")
    if configuration is None:
        near = difflib.get_close_matches(name, tagged or timm.list_models(), n=3)
        nearest = f", of which the nearest are {', '.join(near)}" if near else ""
        raise UnknownNameError("backbone", name, BACKBONES, f" Or any network of timm{nearest}.")
    return configuration


RENAMED: Final = {
    "se_resnet50": "legacy_seresnet50",
    "se_resnet101": "legacy_seresnet101",
    "se_resnet152": "legacy_seresnet152",
    "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
    "se_resnext101_32x4d": "legacy_seresnext101_32x4d",
    "inceptionresnetv2": "inception_resnet_v2",
    "inceptionv3": "inception_v3",
    "inceptionv4": "inception_v4",
    "xception": "legacy_xception",
    **dict.fromkeys(("alexnet", "bninception", "cafferesnet101", "fbresnet152"), ""),
    **dict.fromkeys(("nasnetamobile", "polynet", "squeezenet1_0", "squeezenet1_1"), ""),
}
"""Names of the package pretrainedmodels, as LDL's code takes them, with timm's name for the same
network, or nothing where timm has none. `senet154` is another one in timm, where the same is called
`legacy_senet154`."""


def _other_name(name: str) -> str:
    if RENAMED[name]:
        return f"This network of pretrainedmodels is called {RENAMED[name]!r} in timm."
    return "This network of pretrainedmodels has no counterpart in timm."


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
    if isinstance(net, VisionTransformer) and patch is not None and size >= patch[0]:
        return
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
