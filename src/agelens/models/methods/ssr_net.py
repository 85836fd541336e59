"""SSR-Net: an age in three digits of base three, with digits and base that bend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from agelens.inference.answers import AnswerSpec
from agelens.models.methods.base import AgeMethod, AgeTargets
from agelens.models.methods.option_checks import above_zero, not_negative
from agelens.models.methods.ssr_head import SSRHead


class SSRNet(AgeMethod):
    """Soft stagewise regression network: coarse to fine, each stage refining the one before.

    Weights of bins are rectified and not normalised, as in the authors' code.

    Args:
        ages: the range V = last - first + 1 that the stages divide.
        bins: s_k of each stage.
        stage_features: widths of the features of each stage, in their order, for the SSR-Net
            backbone; by default every stage sees all features.
        local_weight: lambda_local, of the shifts of bins.
        range_weight: lambda_d, of the stretching of ranges; 0 took MORPH from 3.16 to 9.29.
        dropout: of the features, in training.
        start_spread: standard deviation in years that is answered until a validation has
            measured one.

    Raises:
        ValueError: `ages` is no age scale, a number makes no sense, or `stage_features` has
            another number of stages than `bins`.
    """

    name: ClassVar[str] = "ssr-net"
    paper: ClassVar[str] = (
        "Yang et al., SSR-Net: A Compact Soft Stagewise Regression Network for Age Estimation, "
        "IJCAI 2018"
    )
    departures: ClassVar[tuple[str, ...]] = (
        "the authors' code makes a stage's bins of two ReLU layers with as many units as bins, "
        "multiplied, which often start dead; here they are made of the stage's features",
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        bins: Sequence[int] = (3, 3, 3),
        stage_features: Sequence[int] | None = None,
        local_weight: float = 1.0,
        range_weight: float = 1.0,
        dropout: float = 0.2,
        start_spread: float = 15.0,
    ) -> None:
        super().__init__(ages)
        not_negative(local_weight=local_weight, range_weight=range_weight, dropout=dropout)
        above_zero(stages=len(bins), fewest_bins=min(bins, default=0), kept=1 - dropout)
        above_zero(start_spread=start_spread)
        if stage_features is not None and len(stage_features) != len(bins):
            raise ValueError(
                f"stage_features has {len(stage_features)} stages and bins {len(bins)}; "
                "they belong to the same stages"
            )
        self.bins, self.stage_features = bins, stage_features
        self.local_weight, self.range_weight, self.dropout = local_weight, range_weight, dropout
        self.start_spread = start_spread

    @property
    def spec(self) -> AnswerSpec:
        """An age, and the error on validation samples as its standard deviation."""
        return AnswerSpec(self.scale, "mean-spread")

    def head(self, features: int) -> nn.Module:
        """An `SSRHead`.

        Raises:
            ValueError: `stage_features` do not add up to `features`.
        """
        widths = self.stage_features or [features] * len(self.bins)
        if self.stage_features is not None and sum(widths) != features:
            raise ValueError(
                f"stage_features {list(widths)} add up to {sum(widths)}, and the features to "
                f"{features}; leave stage_features out for a backbone without stages of its own"
            )
        years = self.scale.years
        return SSRHead(
            widths,
            self.bins,
            shared=self.stage_features is None,
            first_year=years[0],
            span_years=years[-1] - years[0] + 1,
            local_weight=self.local_weight,
            range_weight=self.range_weight,
            dropout=self.dropout,
            start_spread=self.start_spread,
        )

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """Mean absolute error in years."""
        return functional.l1_loss(outputs[:, 0], targets.age_years.to(outputs))

    def posterior(self, outputs: Tensor) -> Tensor:
        """Age and spread [B, 2]."""
        return outputs
