"""Measured false match rates: what they promise, and when they refuse to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agelens.errors import CardError, TableError, UsageError
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.extractors import open_extractor
from agelens.recognition.measured_rates import MeasuredRates, rates_of
from agelens.recognition.measuring_rates import measure_rates

PEOPLE, PHOTOS = 60, 3


def faces(*, seed: int = 0, spread: float = 0.5, people: int = PEOPLE) -> EmbeddingTable:
    chance = np.random.default_rng(seed)
    centres = np.repeat(chance.normal(size=(people, 8)), PHOTOS, axis=0)
    vectors = (centres + spread * chance.normal(size=centres.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [str(row) for row in range(len(vectors))]
    frame = pd.DataFrame({"sample_id": names, "path": names, "dataset": "d", "status": "ok"})
    frame["subject"] = [str(row // PHOTOS) for row in range(len(vectors))]
    frame["age_years"] = np.nan
    return EmbeddingTable(frame, vectors, EmbeddingModel("toy", "1", "0", 8))


def plain_loop(table: EmbeddingTable, threshold: float) -> tuple[float, float, int, int]:
    """False and true match rate, and the pairs of either kind, pair by pair."""
    wrong = right = different = same = 0
    subject = table.frame["subject"].tolist()
    for i in range(len(table)):
        for j in range(i):
            alike = float(np.float32(table.vectors[i] @ table.vectors[j])) >= threshold - 1e-7
            if subject[i] == subject[j]:
                same, right = same + 1, right + alike
            else:
                different, wrong = different + 1, wrong + alike
    return wrong / different, right / same, different, same


def test_rates_are_those_of_a_plain_loop_over_pairs() -> None:
    table = faces()
    found = measure_rates(table, "toys", draws=200)
    assert found.rates
    for rate in found.rates:
        wrong, right, different, same = plain_loop(table, rate.threshold)
        assert rate.measured == pytest.approx(wrong, abs=1e-9)
        assert rate.true_match_rate == pytest.approx(right, abs=1e-9)
        assert (found.different_pairs, found.same_pairs) == (different, same)
        assert rate.low <= rate.measured <= rate.high <= rate.false_match_rate
    thresholds = [rate.threshold for rate in found.rates]
    assert thresholds == sorted(thresholds)


def test_the_promise_holds_on_other_people_of_the_same_kind() -> None:
    found = measure_rates(faces(people=120), "toys", draws=200)
    rate = found.at(0.05)
    others = [plain_loop(faces(seed=seed), rate.threshold)[0] for seed in range(1, 9)]
    assert np.mean(others) <= rate.false_match_rate


def test_few_people_promise_little() -> None:
    few = measure_rates(faces(people=12), "toys", draws=200)
    many = measure_rates(faces(people=120), "toys", draws=200)
    assert min(r.false_match_rate for r in many.rates) < min(
        (r.false_match_rate for r in few.rates), default=1
    )


def test_rows_without_embedding_do_not_count() -> None:
    table = faces()
    status, vectors = ["no_face"] + ["ok"] * (len(table) - 1), table.vectors.copy()
    vectors[0] = np.nan
    with_gap = EmbeddingTable(table.frame.assign(status=status), vectors, table.model)
    expected = measure_rates(table.take(np.arange(1, len(table))), "toys", draws=20)
    assert measure_rates(with_gap, "toys", draws=20) == expected


def test_faces_that_measure_nothing_are_refused() -> None:
    table = faces()
    alone = table.take(np.arange(0, len(table), PHOTOS))
    with pytest.raises(TableError, match="pairs of one person"):
        measure_rates(alone, "toys")
    nameless = table.frame.assign(subject=None)
    with pytest.raises(TableError, match="a subject in every row"):
        measure_rates(EmbeddingTable(nameless, table.vectors, table.model), "toys")


def test_a_rate_in_between_is_kept_by_the_next_smaller(colour_card: Path) -> None:
    rates = rates_of(open_extractor(colour_card))
    assert rates.at(0.05).false_match_rate == 0.01
    assert rates.at(0.001).threshold == 0.999
    assert MeasuredRates.from_json(asdict(rates)) == rates


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan")])
def test_rates_that_are_no_share_are_refused(rate: float, colour_card: Path) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        rates_of(open_extractor(colour_card)).at(rate)


def test_a_rate_that_the_pairs_cannot_promise_is_refused(colour_card: Path) -> None:
    with pytest.raises(UsageError, match=r"3,120 pairs of 40 people.*smallest.*0\.001"):
        rates_of(open_extractor(colour_card)).at(1e-6)


def test_a_card_without_rates_is_refused(
    write_embedding_card: Callable[..., Path], colour_card: Path, tmp_path: Path
) -> None:
    unmeasured = open_extractor(write_embedding_card(tmp_path, verification=None))
    with pytest.raises(CardError, match="no false match rates"):
        rates_of(unmeasured)
    with pytest.raises(CardError, match="with added crops"):
        rates_of(open_extractor(colour_card, crops="added"))
    malformed = write_embedding_card(tmp_path / "2", verification={"single": {"rates": []}})
    with pytest.raises(CardError, match="malformed"):
        rates_of(open_extractor(malformed))
