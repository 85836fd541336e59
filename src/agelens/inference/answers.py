"""What a network answers with, and how an answer becomes ages: one reading for all lanes.

A network gives one row of numbers a face. What they are is stated in its card, and the same
function reads them in training, in evaluation, and when somebody estimates a photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.ages import AgeScale
from agelens.inference.calibration import Calibration
from agelens.records import Floats

OutputKind: TypeAlias = Literal["posterior", "mean-spread", "ordinal-logits"]
Point: TypeAlias = Literal["expected", "median", "argmax", "rank"]
Link: TypeAlias = Literal["independent", "conditional"]

OUTPUT_KINDS: Final = ("posterior", "mean-spread", "ordinal-logits")
POINTS: Final = ("expected", "median", "argmax", "rank")
LINKS: Final = ("independent", "conditional")


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """What the numbers of an answer [N, width] are.

    Args:
        scale: the K ages. An age without a distribution is kept within its ends.
        kind: ``posterior`` is K probabilities; ``mean-spread`` an age and its standard
            deviation, both in years; ``ordinal-logits`` K - 1 logits of "older than age k".
        point: how a distribution becomes one age. ``rank`` counts the ages that a face is
            older than with more than `threshold` probability (Niu et al., CVPR 2016). Of a
            mean and a spread, expected and median are the same, and the others do not exist.
        link: of ordinal logits: each task by itself (OR-CNN, CORAL), or given that the one
            before it holds (CORN), so that the probabilities multiply.
        threshold: of ``rank``.

    Raises:
        ValueError: a word that is none of these, a point or a link that the kind does not
            have, or a threshold outside (0, 1).
    """

    scale: AgeScale
    kind: OutputKind = "posterior"
    point: Point = "expected"
    link: Link = "independent"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        for what, value, valid in (
            ("kind", self.kind, OUTPUT_KINDS),
            ("point", self.point, POINTS),
            ("link", self.link, LINKS),
        ):
            if value not in valid:
                raise ValueError(f"{what} must be one of {', '.join(valid)}, got {value!r}")
        if self.kind == "mean-spread" and self.point not in ("expected", "median"):
            raise ValueError(f"a mean with a spread has no {self.point}; use expected or median")
        if self.kind != "ordinal-logits" and self.link != "independent":
            raise ValueError(f"only ordinal logits are {self.link}, a {self.kind} answer is not")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must be strictly between 0 and 1, got {self.threshold}")

    @property
    def width(self) -> int:
        """How many numbers an answer has."""
        return {"posterior": len(self.scale), "mean-spread": 2}.get(self.kind, len(self.scale) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """N answers read.

    `estimate_years` [N] is the point that the spec names, `median_years` [N] the median.
    `distribution` [N, K] lies over the scale, `spread_years` [N] is a standard deviation;
    one of the two is None.
    """

    spec: OutputSpec
    estimate_years: Floats
    median_years: Floats
    distribution: Floats | None
    spread_years: Floats | None

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Low and high [N] in years of the central `level` of each distribution.

        A mean with a spread counts as normal, cut off at age 0.

        Raises:
            ValueError: `level` is not strictly between 0 and 1.
        """
        if self.distribution is not None:
            return self.spec.scale.interval(self.distribution, level)
        if self.spread_years is None:
            raise ValueError("an answer has a distribution or a spread")
        if not 0 < level < 1:
            raise ValueError(f"an interval's level is strictly between 0 and 1, got {level}")
        reach = NormalDist().inv_cdf((1 + level) / 2) * self.spread_years
        return np.maximum(self.estimate_years - reach, 0), self.estimate_years + reach


def read_answers(answer: ArrayLike, spec: OutputSpec) -> Answers:
    """Ages of `answer` [N, spec.width].

    Raises:
        ValueError: another shape, a number that is not finite, a negative spread, or
            a posterior that is none; see `AgeScale.normalise`.
    """
    rows = np.asarray(answer, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != spec.width:
        raise ValueError(f"a {spec.kind} answer is [N, {spec.width}], got {list(rows.shape)}")
    _refuse(~np.isfinite(rows).all(axis=1), "holds NaN or infinity")
    if spec.kind == "mean-spread":
        mean, spread = rows[:, 0], rows[:, 1]
        _refuse(spread < 0, "is no age with a spread: its spread is negative")
        age = np.asarray(np.clip(mean, spec.scale.years[0], spec.scale.years[-1]))
        return Answers(spec, age, age, None, spread)
    if spec.kind == "ordinal-logits":
        older = survival_probabilities(rows, spec.link)
        distribution = pmf_from_survival(older)
    else:
        distribution = spec.scale.normalise(rows)
        older = 1 - np.cumsum(distribution, axis=1)[:, :-1]
    years = np.asarray(spec.scale.years)
    points: dict[Point, Callable[[], Floats]] = {
        "expected": lambda: spec.scale.expected(distribution),
        "median": lambda: spec.scale.median(distribution),
        "argmax": lambda: years[distribution.argmax(axis=1)],
        "rank": lambda: years[(older > spec.threshold).sum(axis=1)],
    }
    median = spec.scale.median(distribution)
    return Answers(spec, points[spec.point](), median, distribution, None)


def survival_probabilities(logits: Floats, link: Link) -> Floats:
    """P(older than age k) [N, K - 1] of ordinal logits [N, K - 1]."""
    # tanh form: exp of a large logit would overflow
    single = 0.5 * (1 + np.tanh(np.asarray(logits, dtype=np.float64) / 2))
    return np.asarray(np.cumprod(single, axis=1) if link == "conditional" else single)


def pmf_from_survival(older: Floats) -> Floats:
    """The posterior [N, K] of P(older than age k) [N, K - 1].

    Tasks that are trained apart may contradict each other: P(older than 30) above
    P(older than 29). The probabilities are then sorted into a descending row: that is a
    distribution function, it brings estimates closer to the true one (Chernozhukov et al.,
    Econometrica 2010), and it keeps their sum, so that the expected age on an even scale stays
    that sum. A row that descends is left as it is.
    """
    falling = -np.sort(-older, axis=1)
    bounds = np.pad(falling, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    return np.asarray(bounds[:, :-1] - bounds[:, 1:])


def _refuse(bad: NDArray[np.bool_] | np.bool_, complaint: str) -> None:
    """Name the first row that `bad` [N] marks."""
    if bad.any():
        raise ValueError(f"row {int(np.argmax(bad))} of the answer {complaint}")


def likeliest_words(
    probabilities: Floats, told: Mapping[str, Sequence[str]]
) -> dict[str, tuple[NDArray[np.int64], Floats]]:
    """The place [N] of the likeliest word of each column, and its probability [N].

    Args:
        probabilities: [N, words of all columns] in the order of `told`.
        told: the words of each column that a network tells beside ages, see `Card.told`.
    """
    ends = np.cumsum([len(words) for words in told.values()])[:-1]
    parts = np.split(probabilities, ends, axis=1) if told else []
    return {
        column: (part.argmax(axis=1), part.max(axis=1))
        for column, part in zip(told, parts, strict=True)
    }


GENDER_COLUMN: Final = "gender"
"""The one column whose words are known in use, where gender is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class StatedAges:
    """Ages, medians and interval ends [N] in years; `coverage` is None where nobody measured it."""

    estimate_years: Floats
    median_years: Floats
    low_years: Floats
    high_years: Floats
    coverage: float | None


def point_and_interval(
    answers: Answers,
    level: float,
    calibration: Calibration | None = None,
    genders: Sequence[str | None] | None = None,
) -> StatedAges:
    """The ages of `answers`, with intervals at `level`.

    Bias is corrected first, as it was before the intervals were calibrated. Intervals at a level
    that nobody calibrated stay the network's own, and have no coverage.

    Args:
        answers: of N faces.
        level: share that the intervals are to hold.
        calibration: of the model's card; None for the network's own numbers.
        genders: [N] words, where they were asked for: of use where the card tells genders apart.

    Raises:
        ValueError: `level` is not strictly between 0 and 1.
    """
    age, median = answers.estimate_years, answers.median_years
    low, high = answers.interval(level)
    if calibration is None:
        return StatedAges(age, median, low, high, None)
    if calibration.bias is not None:
        age, median, low, high = map(calibration.bias.apply, (age, median, low, high))
    intervals = calibration.at(level)
    if intervals is None:
        return StatedAges(age, median, low, high, None)
    groups = genders if intervals.column == GENDER_COLUMN else None
    low, high = intervals.apply(age, low, high, groups)
    known = intervals.column is None or groups is not None
    coverage = intervals.coverage if known else intervals.coverage_of_strangers
    return StatedAges(age, median, low, high, coverage)
