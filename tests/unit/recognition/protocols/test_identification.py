"""Every protocol that searches equals loops over images, probes and distractors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agelens.errors import TableError
from agelens.recognition.protocols import (
    Resampling,
    leave_one_out,
    megaface_style,
    probe_gallery,
    rank_1_gain,
)
from agelens.recognition.protocols.searches import NO_MATE, NO_PERSON, NOT_IN_GALLERY

NO_DRAWS = Resampling(draws=0)


def cosine(first, second):
    return float(np.dot(first.astype(np.float64), second.astype(np.float64)))


def rank_by_loop(probe, mates, others):
    best = max(cosine(probe, mate) for mate in mates)
    return 1 + sum(cosine(probe, other) >= best for other in others)


def leave_one_out_by_loop(table):
    who, vectors = table.frame["subject"].astype(str).tolist(), table.vectors
    ranks = []
    for one in range(len(table)):
        mates = [vectors[i] for i in range(len(table)) if who[i] == who[one] and i != one]
        others = [vectors[i] for i in range(len(table)) if who[i] != who[one]]
        if mates:
            ranks.append(rank_by_loop(vectors[one], mates, others))
    return ranks


def megaface_by_loop(table):
    who, vectors = table.frame["subject"].astype(str).tolist(), table.vectors
    ranks = []
    for gallery in range(len(table)):
        others = [vectors[i] for i in range(len(table)) if who[i] != who[gallery]]
        for probe in range(len(table)):
            if probe != gallery and who[probe] == who[gallery]:
                ranks.append(rank_by_loop(vectors[probe], [vectors[gallery]], others))
    return ranks


def shares(ranks, most=10):
    return [np.mean([rank <= k for rank in ranks]) for k in range(1, most + 1)]


PEOPLE = [list("aabbbcdd"), list("abcabcabcabd"), list("aaaaaaaabbc")]


@pytest.mark.parametrize("names", PEOPLE)
def test_leave_one_out_equals_the_loop(embedded, names):
    table = embedded(names, noise=2)
    found = leave_one_out(table, resampling=NO_DRAWS)
    expected = leave_one_out_by_loop(table)
    assert found.trials.rank.tolist() == expected
    assert [rate.value for rate in found.rates.values()] == pytest.approx(shares(expected))


@pytest.mark.parametrize("names", PEOPLE)
def test_megaface_style_equals_the_loop(embedded, names):
    table = embedded(names, noise=2)
    found = megaface_style(table, resampling=NO_DRAWS)
    expected = megaface_by_loop(table)
    assert found.rates[1].trials == len(expected)
    assert [rate.value for rate in found.rates.values()] == pytest.approx(shares(expected))


@pytest.mark.parametrize("names", PEOPLE)
def test_probe_gallery_equals_the_loop(embedded, names):
    probes = embedded([*names, "x"], noise=2, prefix="probes")
    gallery = embedded([*names[::-1], "e"], noise=2, seed=1, prefix="gallery")
    found = probe_gallery(probes, gallery, resampling=NO_DRAWS)
    of_gallery = np.array([*names[::-1], "e"])
    expected = [
        rank_by_loop(probe, gallery.vectors[of_gallery == who], gallery.vectors[of_gallery != who])
        for probe, who in zip(probes.vectors, names, strict=False)
    ]
    assert found.trials.rank.tolist() == expected
    assert [rate.value for rate in found.rates.values()] == pytest.approx(shares(expected))


def test_a_picture_is_not_its_own_mate_and_negative_similarities_count(embedded):
    table = embedded(["a", "a", "b", "b"])
    vectors = np.zeros((4, 8), dtype=np.float32)
    # Nothing is similar to the first picture: with itself at 0 it would be found at once.
    vectors[:, :2] = [[1, 0], [-0.8, 0.6], [-0.96, -0.28], [-0.6, -0.8]]
    found = leave_one_out(replace(table, vectors=vectors), resampling=NO_DRAWS)
    assert found.trials.rank.tolist() == [2, 3, 1, 1]


def test_a_tie_counts_against_the_match(embedded):
    table = embedded(["a", "a", "b", "b"])
    same = np.zeros((4, 8), dtype=np.float32)
    same[:, 0] = 1
    assert leave_one_out(replace(table, vectors=same), resampling=NO_DRAWS).rates[1].value == 0
    assert leave_one_out(replace(table, vectors=same), resampling=NO_DRAWS).rates[3].value == 1


def test_what_takes_no_part_is_counted_and_named(embedded):
    names = ["a", "a", "a", "b", "c", "c", None]
    table = embedded(names, statuses=["ok", "ok", "no_face", "ok", "ok", "unreadable", "ok"])
    for protocol, trials, expected in ((leave_one_out, 2, 5), (megaface_style, 2, 8)):
        found = protocol(table, resampling=NO_DRAWS)
        assert (len(found.trials), found.expected_trials) == (trials, expected)
        assert dict(found.left_out[["sample_id", "why"]].to_numpy().tolist()) == {
            "toy/2.jpg": "no embedding: no_face",
            "toy/5.jpg": "no embedding: unreadable",
            "toy/6.jpg": NO_PERSON,
            "toy/3.jpg": NO_MATE,
            "toy/4.jpg": NO_MATE,
        }
        wrong = found.rates[1].value * trials / expected
        assert found.rank_1_missing_as_wrong == pytest.approx(wrong)


def test_the_only_picture_of_a_person_still_distracts(embedded):
    table = embedded(["a", "a", "b"])
    vectors = np.zeros((3, 8), dtype=np.float32)
    vectors[:, :2] = [[1, 0], [0.6, 0.8], [0.8, 0.6]]
    found = leave_one_out(replace(table, vectors=vectors), resampling=NO_DRAWS)
    assert found.trials.rank.tolist() == [2, 2]


def test_a_table_without_pairs_is_refused(embedded):
    for names in (["a", "b"], [None, None]):
        for protocol in (leave_one_out, megaface_style):
            with pytest.raises(TableError, match="no person has two pictures"):
                protocol(embedded(names))


def test_age_gaps(embedded):
    ages = [10.0, 13.0, 50.0, 20.0, np.nan]
    table = embedded(["a", "a", "a", "b", "b"], age_years=ages)
    nearest = leave_one_out(table, resampling=NO_DRAWS)
    np.testing.assert_array_equal(nearest.trials.gap_years, [3, 3, 37, np.nan, np.nan])
    assert {k: rate.trials for k, rate in nearest.by_gap.items() if rate.trials} == {
        "under 5": 2,
        "30 and more": 1,
    }
    assert nearest.gap_unknown == 2
    pairs = megaface_style(table, resampling=NO_DRAWS)
    assert sorted(pairs.trials.gap_years.tolist())[:6] == [3, 3, 37, 37, 40, 40]


def test_two_models_are_refused(embedded):
    probes = embedded(["a", "b"], prefix="p")
    gallery = embedded(["a", "b"], prefix="g", model=replace(probes.model, version="2"))
    with pytest.raises(TableError, match=r"two models.*toy 1.*toy 2"):
        probe_gallery(probes, gallery)


def test_a_probe_in_the_gallery_is_refused(embedded):
    with pytest.raises(TableError, match="is a probe and in the gallery"):
        probe_gallery(embedded(["a", "b"]), embedded(["a", "b"]))


def test_a_probe_whose_person_is_absent_is_named(embedded):
    probes, gallery = embedded(["a", "x"], prefix="p"), embedded(["a", "b"], prefix="g")
    found = probe_gallery(probes, gallery, resampling=NO_DRAWS)
    assert found.left_out.to_numpy().tolist() == [["probes", "p/1.jpg", NOT_IN_GALLERY]]
    with pytest.raises(TableError, match=r"toy 'x'.*toy 'a'"):
        probe_gallery(embedded(["x"], prefix="p"), gallery)


def test_intervals_are_those_of_drawing_people(embedded):
    names = [f"p{number // 4:02}" for number in range(80)]
    table = embedded(names, noise=1.5)
    found = leave_one_out(table, resampling=Resampling(draws=2000, seed=1))
    hits = (found.trials.rank == 1).reshape(20, 4)
    rng = np.random.default_rng(5)
    drawn = [hits[rng.integers(0, 20, 20)].mean() for _ in range(2000)]
    rate = found.rates[1]
    assert rate.people == 20
    assert [rate.low, rate.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
    assert rate.low < rate.value < rate.high


def test_one_person_has_no_interval(embedded):
    found = leave_one_out(embedded(["a", "a", "b"]))
    assert np.isnan([found.rates[1].low, found.rates[1].high]).all()
    assert found.to_dict()["rank"]["1"]["low"] is None


def test_a_gain_is_paired(embedded):
    names = [f"p{number // 4:02}" for number in range(80)]
    worse, better = (embedded(names, noise=noise) for noise in (1.5, 0.5))
    before, after = leave_one_out(worse), leave_one_out(better)
    gain = rank_1_gain(before, after)
    assert gain.value == pytest.approx(after.rates[1].value - before.rates[1].value)
    assert 0 < gain.low < gain.value < gain.high
    with pytest.raises(TableError, match="not tested on the same pictures"):
        rank_1_gain(before, leave_one_out(embedded(names, prefix="other")))


def test_a_band_of_one_person_has_no_interval(embedded):
    ages = [10.0, 50.0, *([20.0] * 8)]
    table = embedded([f"p{row // 2}" for row in range(10)], age_years=ages)
    found = leave_one_out(table, resampling=Resampling(draws=50))
    assert np.isnan(found.by_gap["30 and more"].low)
    assert found.by_gap["30 and more"].people == 1
    assert not np.isnan(found.by_gap["under 5"].low)
