"""Rates by age: pairs in their cells, counted as a plain loop counts them; what they promise."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.measured_rates import GAPS, YOUNGEST, AgeRates, band_of
from agelens.recognition.rates_by_age import Faces, cells_of, rates_by_age


def aged_faces(people: int, photos: int, *, seed: int = 0, childish: float = 2.0) -> EmbeddingTable:
    """People from 2 to 50 whose faces are the more alike the younger they are."""
    chance = np.random.default_rng(seed)
    centres = np.repeat(chance.normal(size=(people, 8)), photos, axis=0)
    ages = chance.uniform(2, 50, people * photos)
    child = childish * np.exp(-ages / 8)[:, np.newaxis] * np.ones(8)
    vectors = centres + 0.4 * chance.normal(size=centres.shape) + child
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    names = [str(row) for row in range(len(vectors))]
    frame = pd.DataFrame({"sample_id": names, "path": names, "dataset": "d", "status": "ok"})
    frame["subject"] = [str(row // photos) for row in range(len(vectors))]
    frame["age_years"] = ages
    return EmbeddingTable(frame, vectors, EmbeddingModel("toy", "1", "0", 8))


def plain_cell(
    table: EmbeddingTable, place: tuple[str, str], weights: np.ndarray, threshold: float
) -> tuple[float, float, int]:
    """Weighted pairs of strangers, those beyond the threshold, and pairs of one person."""
    ages = np.floor(table.frame["age_years"].to_numpy() * 10) / 10
    who = np.unique(table.frame["subject"], return_inverse=True)[1]
    pairs = beyond = same = 0.0
    for i in range(len(table)):
        for j in range(i):
            younger, older = sorted((ages[i], ages[j]))
            gap = round(older - younger, 6)
            if (band_of(younger, YOUNGEST), band_of(gap, GAPS)) != place:
                continue
            if who[i] == who[j]:
                same += 1
                continue
            weight = weights[who[i]] * weights[who[j]]
            pairs += weight
            beyond += weight * (float(table.vectors[i] @ table.vectors[j]) >= threshold)
    return pairs, beyond, int(same)


def test_cells_hold_the_pairs_of_a_plain_loop() -> None:
    table = aged_faces(12, 4)
    faces = Faces.of(table)
    weights = np.random.default_rng(1).integers(0, 3, 12).astype(float)
    seen = {}
    for youngest, gap, cell in cells_of(faces):
        seen[youngest, gap] = cell
        pairs, beyond, same = plain_cell(table, (youngest, gap), weights, 0.55)
        assert cell.pairs(weights, faces) == pytest.approx(pairs)
        assert len(cell.same) == same
        if pairs:
            assert cell.share(0.55, weights, faces) == pytest.approx(beyond / pairs)
    assert len(seen) > 8


def test_children_get_higher_thresholds_and_rates_hold_on_others() -> None:
    found = rates_by_age({"toys": aged_faces(60, 6)}, rates=(0.01,), draws=40)
    places = {(one.youngest, one.gap): one for one in found}
    young, adult = places["0-5", "0-4"], places["18+", "0-4"]
    assert young.rates[0].threshold > adult.rates[0].threshold
    others = aged_faces(60, 6, seed=1)
    faces = Faces.of(others)
    everyone = np.ones(60)
    for youngest, gap, cell in cells_of(faces):
        rate = places[youngest, gap].rates[0]
        assert rate.measured <= 0.0101
        assert rate.low <= cell.share(rate.threshold, everyone, faces) <= rate.high
    assert AgeRates.from_json(asdict(young)) == young


def test_of_two_sets_the_one_with_more_alike_strangers_is_taken() -> None:
    easy, hard = aged_faces(40, 5, childish=0.0), aged_faces(40, 5, childish=6.0)
    found = rates_by_age({"easy": easy, "hard": hard}, rates=(0.01,), draws=5)
    young = next(one for one in found if (one.youngest, one.gap) == ("0-5", "0-4"))
    assert young.dataset == "hard"


def test_one_adult_who_looks_like_a_child_speaks_for_no_children() -> None:
    table = aged_faces(40, 5)
    ages = np.full(len(table), 40.0)
    ages[0] = 3
    found = rates_by_age({"a": EmbeddingTable(
        table.frame.assign(age_years=ages), table.vectors, table.model
    )}, rates=(0.01,), draws=5)  # fmt: skip
    assert {one.youngest for one in found} == {"18+"}


def test_faces_without_ages_are_refused() -> None:
    table = aged_faces(12, 2)
    frame = table.frame.assign(age_years=np.nan)
    with pytest.raises(TableError, match="agelens data label --replace"):
        rates_by_age({"a": EmbeddingTable(frame, table.vectors, table.model)})
