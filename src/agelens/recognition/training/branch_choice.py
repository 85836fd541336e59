"""A branch as a configuration names it, and the weights that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, get_args

import torch
from torch import Tensor, nn

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.models.backbones import build_backbone
from agelens.models.backbones.weights import STARTS, read_tensors, unwrapped
from agelens.recognition.margins import ClassWeights, MarginLoss
from agelens.recognition.purification import Blocks, PurifiedBranch, SampledCLUB


class TwoBranches(nn.Module):
    """IEFP (Xie, Pun and Lam, IEEE TIFS 17, 2022): identity branch, frozen age branch, CLUB.

    The age branch stays in evaluation mode and gets no gradients. Without one this is plain
    recognition with a self-purification unit.

    Args:
        identity: the branch that learns.
        margin: the loss over identities.
        age: a trained branch, which this freezes.
    """

    def __init__(
        self, identity: PurifiedBranch, margin: MarginLoss, age: PurifiedBranch | None = None
    ) -> None:
        super().__init__()
        self.identity = identity
        self.margin = margin
        self.age = age.requires_grad_(False).eval() if age is not None else None
        self.club = SampledCLUB(age.features, identity.features) if age is not None else None

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the age branch."""
        super().train(mode)
        if self.age is not None:
            self.age.eval()
        return self

    @torch.no_grad()
    def age_embeddings(self, images: Tensor) -> Tensor:
        """Of the frozen branch [B, features], in 32 bits."""
        assert self.age is not None  # noqa: S101 - asked for only where there is a bound
        embeddings: Tensor = self.age(images)
        return embeddings.float()

    def likelihood(self, x_age: Tensor, y_identity: Tensor) -> Tensor:
        """See `SampledCLUB.likelihood`; only the likelihood network gets gradients."""
        assert self.club is not None  # noqa: S101
        with torch.autocast(x_age.device.type, enabled=False):
            return self.club.likelihood(x_age, y_identity.detach())

    def bound(self, x_age: Tensor, y_identity: Tensor) -> Tensor:
        """See `SampledCLUB.bound`; only the identity embedding gets gradients."""
        assert self.club is not None  # noqa: S101
        self.club.requires_grad_(False)
        try:
            with torch.autocast(x_age.device.type, enabled=False):
                return self.club.bound(x_age, y_identity)
        finally:
            self.club.requires_grad_(True)


Initial: TypeAlias = Literal["agelens", "iefp"]
"""Who says how random weights begin."""

_IEFP_LINEAR: Final = 0.01


def start_as_iefp(*parts: nn.Module) -> None:
    """Fill random weights as IEFP's code begins.

    Convolutions by Kaiming's normal rule over what goes out, linear layers with a deviation of
    0.01 and no bias, centres of identities by Xavier's uniform rule. A unit of 512 features then
    takes off a vector 0.16 times as long as what comes in, one begun here of the same length.
    """
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=_IEFP_LINEAR)
        elif isinstance(module, ClassWeights):
            nn.init.xavier_uniform_(module.weight)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


Purification: TypeAlias = Literal["none", "one", "two"]

_BLOCKS: Final[dict[str, Blocks]] = {"none": 0, "one": 1, "two": 2}
_UNIT: Final = "purification."


class BuiltBranch(NamedTuple):
    """A branch, and in words what became of each key of the weights that it starts from."""

    branch: PurifiedBranch
    report: str


class BranchChoice:
    """A backbone with a self-purification unit, and the weights that both start from.

    Args:
        name: of the backbone.
        weights: ``random``, ``packaged``, ``timm``, or a file: a backbone's, or a run's
            `weights.safetensors`, which holds the unit as well.
        size: side of the network's input in pixels; the backbone's own by default.
        purification: blocks of the unit: ``none``, ``one``, ``two``.
        options: further arguments of the backbone.

    Raises:
        UnknownNameError: another word for the unit.
    """

    def __init__(
        self,
        name: str = "iresnet50",
        *,
        weights: str = "random",
        size: int | None = None,
        purification: Purification = "one",
        options: dict[str, Any] | None = None,
    ) -> None:
        if purification not in _BLOCKS:
            raise UnknownNameError("self-purification unit", purification, get_args(Purification))
        self.name = name
        self.weights = weights
        self.size = size
        self.purification = purification
        self.options = dict(options or {})

    def build(self, initial: Initial = "agelens") -> BuiltBranch:
        """The branch to be trained; a unit that the weights lack starts at random.

        Args:
            initial: how what is random begins: a unit, and of ``random`` weights the backbone.

        Raises:
            CardError: the weights are absent, unsafe to read, or do not fit.
            AgelensError: what else `build_backbone` raises.
        """
        branch, report = self._built(self.weights)
        if initial == "iefp":
            start_as_iefp(branch if self.weights == "random" else branch.purification)
        tensors = self._unit_tensors()
        if tensors:
            self._fill(branch, tensors)
        start = self.weights if tensors else f"random numbers ({initial})"
        return BuiltBranch(branch, f"{report}\npurification ({self.purification}): {start}")

    def build_empty(self) -> PurifiedBranch:
        """The branch alone, for weights that come from a run."""
        return self._built("random").branch

    def build_trained(self) -> BuiltBranch:
        """The branch to be used as it is; its weights must be all there.

        Raises:
            UsageError: no file is named.
            CardError: as `build`; also where the file lacks the unit.
        """
        if self.weights in STARTS:
            raise UsageError(
                "the frozen age branch needs the weights of one that was trained: "
                "age_branch.weights is a file, such as the weights.safetensors of a run with "
                f"stage: age; got {self.weights!r}. Without any, club.bound_weight 0 trains the "
                "identity branch alone"
            )
        built = self.build()
        if built.branch.purification.blocks and not self._unit_tensors():
            raise CardError(
                f"{self.weights}: no weights of a self-purification unit ({_UNIT}...) in it; take "
                "those of a run, or say age_branch.purification none"
            )
        return built

    def _built(self, weights: str | Path) -> BuiltBranch:
        built = build_backbone(self.name, weights=weights, size=self.size, **self.options)
        branch = PurifiedBranch(built.backbone, _BLOCKS[self.purification])
        return BuiltBranch(branch, str(built.report))

    def _unit_tensors(self) -> dict[str, Tensor]:
        if self.weights in STARTS:
            return {}
        return {
            unwrapped(name).removeprefix(_UNIT): tensor
            for name, tensor in read_tensors(Path(self.weights)).items()
            if unwrapped(name).startswith(_UNIT)
        }

    def _fill(self, branch: PurifiedBranch, tensors: Mapping[str, Tensor]) -> None:
        try:
            branch.purification.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise CardError(
                f"{self.weights}: its self-purification unit is not of {self.purification!r} "
                f"blocks over {branch.features} features: {error}"
            ) from error
