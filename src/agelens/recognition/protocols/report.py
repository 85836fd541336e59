"""What every protocol hands back: figures with intervals, by age gap, and a page with limits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.groups import FEW
from agelens.evaluation.reports.page import (
    NOT_FIT,
    Card,
    Drawing,
    Page,
    Section,
    bootstrap_words,
    with_interval,
)
from agelens.evaluation.reports.result import Result
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.protocols.rates import Rate, Resampling

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMITS: Final = (
    "A match is a hint, not proof of who somebody is. Nobody may be let in, turned away, accused, "
    "searched or arrested because of one: a person must look, and the one concerned must be heard.",
    "Do not search for people who have not agreed to be found, nor watch places where people have "
    "not been asked; in many countries that is forbidden by law.",
    "The figures hold for people and pictures like those of the table. The more people are "
    "searched, the more strangers look alike: rank-1 among a thousand pictures promises nothing "
    "among a million.",
    "False matches are not spread evenly over sexes, ages and ethnic groups, and children are told "
    "apart worst. Few tables say enough to measure it: that a group is not listed here does "
    "not mean that it is treated like the others.",
    "Intervals say how much a figure would move with other people of the same kind, in the same "
    "gallery. They know nothing of wrong labels, nor of people whom the network was trained on.",
)

MODEL_MADE_AGES: Final = (
    "Some ages here are another model's estimates (age_kind estimated): an age gap between them is "
    "as wrong as they are."
)
SUBJECTS_UNKNOWN: Final = (
    "The table does not say who is on every picture. Pictures that no pair joins then count "
    "as different people, which makes intervals too narrow."
)


_CARDS: Final = 3


class ProtocolResult(Result):
    """The figures of one protocol.

    `left_out` names each picture or pair that took no part, and why; `age_kinds` counts what the
    ages are.
    """

    kind: ClassVar[str] = "result"
    protocol: str
    model: EmbeddingModel
    age_kinds: Mapping[str, int]
    resampling: Resampling

    @abstractmethod
    def rows(self) -> Mapping[str, Rate]:
        """The main figures by name."""

    @abstractmethod
    def gap_rows(self) -> Mapping[str, Mapping[str, Rate]]:
        """Figures by name, by band of age gaps."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """What was measured, in words."""

    @abstractmethod
    def how(self) -> str:
        """What the protocol does."""

    @abstractmethod
    def charts(self) -> Iterator[Section]:
        """Sections that draw more than the figures by age gap."""

    @abstractmethod
    def missing(self) -> pd.DataFrame:
        """What was left out, a row each, with `why`."""

    def cautions(self) -> list[str]:
        """What to keep in mind beside the limits of every such figure."""
        return [MODEL_MADE_AGES] if self.age_kinds.get("estimated") else []

    def to_frame(self) -> pd.DataFrame:
        """The main figures: `figure, value, low, high, trials, people`."""
        return pd.DataFrame(
            [{"figure": name, **asdict(rate)} for name, rate in self.rows().items()]
        )

    def gap_frame(self) -> pd.DataFrame:
        """Figures by age gap: as `to_frame`, `age_gap` first."""
        return pd.DataFrame(
            [
                {"age_gap": gap, "figure": name, **asdict(rate)}
                for gap, rates in self.gap_rows().items()
                for name, rate in rates.items()
            ]
        )

    def counts_frame(self) -> pd.DataFrame:
        """What was measured, and what was not: `what, count`."""
        why = self.missing()["why"].value_counts()
        counted: dict[str, object] = {"model": str(self.model), **self.counts()}
        counted |= {f"left out: {reason}": int(n) for reason, n in why.items()}
        counted |= {f"ages {kind}": n for kind, n in self.age_kinds.items()}
        frame = pd.DataFrame(list(counted.items()), columns=["what", "count"])
        return frame.astype({"count": object})

    def sentences(self) -> list[str]:
        """The first figure, and cautions."""
        name, rate = next(iter(self.rows().items()))
        share = with_interval(rate.value, rate.low, rate.high, share=True)
        told = f"{self.protocol} of {self.model.name}: {name} {share}, {rate.trials:,} trials"
        return [told, *self.cautions()]

    def frames(self) -> dict[str, pd.DataFrame]:
        """Figures, figures by age gap, and what was left out, which the page does not name."""
        return {
            "figures": self.to_frame(),
            "by_age_gap": self.gap_frame(),
            "left_out": self.missing(),
        }

    def page(self) -> Page:
        """Limits, counts, figures and charts."""
        how = self.resampling
        cards = [
            Card.of(name, with_interval(rate.value, rate.low, rate.high, share=True))
            for name, rate in list(self.rows().items())[:_CARDS]
        ]
        sections = [
            Section("What was measured", [self.how()], [("", self.counts_frame())]),
            Section(
                "Figures",
                [bootstrap_words(how.level, how.draws, how.seed)],
                [("", in_words(self.to_frame()))],
            ),
            *self.charts(),
            self._by_gap(),
            Section(NOT_FIT, [*LIMITS, *self.cautions()]),
        ]
        title = f"Recognition: {self.protocol} of {self.model.name}"
        return Page(title, sections, [LIMITS[0]], cards)

    def _by_gap(self) -> Section:
        rows = self.gap_frame()
        rows = rows[rows["trials"] > 0]
        if not len(rows):
            return Section("By age gap", ["No two ages are known, so nothing can be said by it."])
        first = rows["figure"].iloc[0]
        rates = {gap: rates[first] for gap, rates in self.gap_rows().items()}
        return Section(
            "By age gap",
            [f"Grey: fewer than {FEW} trials, too few to say anything."],
            [("", in_words(rows).assign(few=rows["trials"] < FEW))],
            figures={"by_age_gap": drawing("gap_figure", rates, first)},
        )


def in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of rates with value and interval as one text."""
    numbers = rows[["value", "low", "high"]].to_numpy(dtype=float).tolist()
    text = [with_interval(*one, share=True) for one in numbers]
    others = rows.drop(columns=["value", "low", "high"])
    others["people"] = ["unknown" if pd.isna(one) else f"{one:,.0f}" for one in others["people"]]
    others.insert(list(others).index("trials"), "share", text)
    return others


def drawing(chart: str, *arguments: Any) -> Callable[[], Drawing | Figure]:
    """A chart that is drawn, and matplotlib loaded, when a page asks for it."""

    def draw() -> Drawing | Figure:
        from agelens.recognition.protocols import charts  # noqa: PLC0415

        drawn: Drawing | Figure = getattr(charts, chart)(*arguments)
        return drawn

    return draw
