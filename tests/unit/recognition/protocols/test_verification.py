"""Verification equals loops over folds, thresholds and pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import auc

from agelens.data.datasets.pairs import PairList, pair_table
from agelens.errors import DatasetError, TableError
from agelens.recognition.protocols import IEFP_THRESHOLDS, Resampling, roc_curve, verification
from agelens.recognition.protocols.pair_scores import fold_thresholds

NO_DRAWS = Resampling(draws=0)
scored = st.lists(st.tuples(st.integers(-9, 9), st.booleans()), min_size=4, max_size=40).filter(
    lambda pairs: 0 < sum(same for _, same in pairs) < len(pairs)
)


def arrays(pairs):
    return np.array([s / 9 for s, _ in pairs]), np.array([same for _, same in pairs])


def listed(embedded, *, pairs=60, folds=5, noise=1.0, seed=0, **columns):
    """A table, and pairs of one person and of two in turn."""
    names = [f"p{number // 2}" for number in range(2 * pairs)]
    table = embedded(names, noise=noise, seed=seed, **columns)
    a = list(range(0, 2 * pairs, 2))
    b = [row + 1 if row % 4 == 0 else (row + 3) % (2 * pairs) for row in a]
    return table, pair_table(
        PairList(
            tuple((f"{x}.jpg", f"{y}.jpg") for x, y in zip(a, b, strict=True)),
            tuple(row % 4 == 0 for row in a),
            tuple(number * folds // pairs for number in range(pairs)),
        )
    )


@given(scored)
def test_the_area_is_how_often_one_persons_pair_is_more_similar(pairs):
    scores, same = arrays(pairs)
    wins = [
        1.0 if one > two else 0.5 if one == two else 0.0
        for one in scores[same]
        for two in scores[~same]
    ]
    assert roc_curve(scores, same).area == pytest.approx(np.mean(wins))


@given(scored)
def test_the_curve_is_the_rates_at_each_threshold(pairs):
    scores, same = arrays(pairs)
    curve = roc_curve(scores, same)
    for at, threshold in enumerate(curve.thresholds):
        assert curve.true_match[at] == pytest.approx(np.mean(scores[same] >= threshold))
        assert curve.false_match[at] == pytest.approx(np.mean(scores[~same] >= threshold))
    assert curve.true_match_at(0.2) == max(
        rate
        for rate, wrong in zip(curve.true_match, curve.false_match, strict=True)
        if wrong <= 0.2
    )


def test_the_equal_error_rate_is_the_root_on_the_interpolated_curve():
    rng = np.random.default_rng(0)
    same = rng.integers(0, 2, 500).astype(bool)
    scores = rng.normal(size=500) + same
    curve = roc_curve(scores, same)
    interpolated = interp1d(curve.false_match, curve.true_match)
    root = brentq(lambda rate: 1 - rate - interpolated(rate), 0, 1)
    assert curve.equal_error == pytest.approx(root, abs=1e-3)


@given(scored)
def test_the_equal_error_rate_lies_on_the_curve(pairs):
    scores, same = arrays(pairs)
    curve = roc_curve(scores, same)
    wrong, missed = curve.false_match, 1 - curve.true_match
    crossing = int(np.argmax(wrong >= missed))
    rate = float(curve.equal_error)
    assert wrong[crossing - 1] - 1e-12 <= rate <= wrong[crossing] + 1e-12
    assert missed[crossing] - 1e-12 <= rate <= missed[crossing - 1] + 1e-12


@given(scored, st.integers(2, 4), st.booleans())
def test_thresholds_equal_a_loop_over_all_of_them(pairs, folds, grid):
    scores, same = arrays(pairs)
    fold = np.arange(len(pairs)) % folds
    candidates = np.array(IEFP_THRESHOLDS) if grid else None
    found = fold_thresholds(scores, same, fold, candidates)
    assert sorted(found) == list(range(folds))
    for one, threshold in found.items():
        s, y = scores[fold != one], same[fold != one]
        accuracies = [np.mean((s >= t) == y) for t in IEFP_THRESHOLDS]
        reached = np.mean((s >= threshold) == y)
        if grid:
            assert threshold == IEFP_THRESHOLDS[int(np.argmax(accuracies))]
        else:
            every = [*s, np.inf]
            assert reached == pytest.approx(max(np.mean((s >= t) == y) for t in every))


@pytest.mark.parametrize("thresholds", [None, IEFP_THRESHOLDS])
def test_verification_equals_loops(embedded, thresholds):
    table, pairs = listed(embedded)
    found = verification(table, pairs, thresholds=thresholds, resampling=NO_DRAWS)
    scores = [
        float(np.dot(*(table.vectors[int(path.removesuffix(".jpg"))] for path in paths)))
        for paths in pairs.frame[["path_a", "path_b"]].to_numpy()
    ]
    np.testing.assert_allclose(found.pairs.score, scores, rtol=1e-5, atol=1e-6)
    same, fold = pairs.frame["same"].to_numpy(), pairs.frame["fold"].to_numpy(int)
    limits = fold_thresholds(
        found.pairs.score, same, fold, None if thresholds is None else np.array(thresholds)
    )
    accuracies = []
    for one in range(5):
        right = [
            (score >= limits[one]) == is_same
            for score, is_same, of in zip(found.pairs.score, same, fold, strict=True)
            if of == one
        ]
        accuracies.append(np.mean(right))
    assert [part.accuracy for part in found.folds] == pytest.approx(accuracies)
    assert found.accuracy.value == pytest.approx(np.mean(accuracies))
    assert found.accuracy_std == pytest.approx(np.std(accuracies))
    if thresholds is None:
        assert found.area.value == pytest.approx(roc_curve(np.array(scores), same).area)
        return
    # As IEFP's code: rates of each fold at each threshold, their mean over folds, a root by brentq.
    rates = np.array(
        [
            [
                [
                    np.mean(found.pairs.score[(fold == one) & (same == kind)] >= t)
                    for t in thresholds
                ]
                for kind in (False, True)
            ]
            for one in range(5)
        ]
    ).mean(axis=0)
    assert found.area.value == pytest.approx(auc(*rates))
    interpolated = interp1d(*rates)
    root = brentq(lambda rate: 1 - rate - interpolated(rate), rates[0].min(), rates[1].max())
    # Where the curve stands upright, theirs takes one of its points and ours the root on it.
    near = np.abs(rates[0] - root) < 1e-9
    at_root = [root] if not near.any() else [root, *(1 - rates[1][near])]
    assert min(abs(found.equal_error.value - one) for one in at_root) < 2e-2


def test_intervals_of_the_folds_curve_hold_it(embedded):
    table, pairs = listed(embedded, noise=1.5)
    how = Resampling(draws=40)
    found = verification(table, pairs, thresholds=IEFP_THRESHOLDS, resampling=how)
    for rate in (found.area, found.equal_error):
        assert rate.low <= rate.value <= rate.high


def test_missing_pairs_are_counted_and_named(embedded):
    statuses = ["ok"] * 120
    statuses[0], statuses[9] = "no_face", "unreadable"
    table, pairs = listed(embedded, statuses=statuses)
    frame = pairs.frame.copy()
    frame.loc[3, "path_b"] = "nowhere.jpg"
    frame.loc[8, ["path_a", "issue"]] = ["gone.jpg", "file absent: gone.jpg"]
    found = verification(table, type(pairs)(frame, ("gone.jpg",)), resampling=NO_DRAWS)
    assert (found.expected_pairs, len(found.pairs), len(found.left_out)) == (60, 56, 4)
    reasons = dict(zip(found.left_out["path_a"], found.left_out["why"], strict=True))
    assert reasons == {
        "0.jpg": "no_face",
        "8.jpg": "unreadable",
        "6.jpg": "not in the table",
        "gone.jpg": "file absent",
    }
    right = sum(part.accuracy * part.pairs for part in found.folds)
    assert found.accuracy_missing_as_wrong == pytest.approx(right / 60)
    assert found.to_dict()["left_out"]["no_face"] == 1


def test_a_listed_path_is_the_end_of_the_tables_path_whatever_the_case(embedded):
    table, pairs = listed(embedded, prefix="CALFW/Aligned Images")
    shouted = pairs.frame.assign(path_a=pairs.frame["path_a"].str.upper())
    assert not len(verification(table, type(pairs)(shouted, ()), resampling=NO_DRAWS).left_out)


def test_two_copies_of_the_pictures_are_refused(embedded):
    paths = [f"{folder}/{row}.jpg" for row in range(60) for folder in ("a", "b")]
    table, pairs = listed(embedded, path=paths)
    with pytest.raises(TableError, match="is the end of 2 paths"):
        verification(table, pairs)


def test_lists_that_measure_nothing_are_refused(embedded):
    table, pairs = listed(embedded)
    elsewhere = pairs.frame.assign(path_a="x/" + pairs.frame["path_a"])
    with pytest.raises(TableError, match="none of 60 pairs"):
        verification(table, type(pairs)(elsewhere, ()))
    with pytest.raises(TableError, match="all 30 pairs with embeddings are of one person"):
        verification(table, type(pairs)(pairs.frame[pairs.frame["same"]], ()))
    with pytest.raises(DatasetError, match="one fold"):
        verification(table, type(pairs)(pairs.frame.assign(fold=0), ()))


def test_intervals_resample_people_and_cover_the_value(embedded):
    table, pairs = listed(embedded, pairs=200, noise=1.5)
    found = verification(table, pairs, resampling=Resampling(draws=500))
    for rate in (found.accuracy, found.area, found.equal_error):
        assert rate.low < rate.value < rate.high
        assert rate.people == 200
    # Every person is in three pairs or so: as wide as that of pairs, or wider.
    wide = found.accuracy.high - found.accuracy.low
    right = (found.accuracy.value * (1 - found.accuracy.value) / 200) ** 0.5
    assert wide > 2 * 1.5 * right


def test_people_of_unknown_subjects_are_those_that_pairs_join(embedded):
    table, pairs = listed(embedded, subject=None)
    found = verification(table, pairs, resampling=NO_DRAWS)
    assert not found.pairs.subjects_known
    assert found.to_frame()["people"].isna().all()
    assert ">unknown</td>" in found.to_html()
    same = found.pairs.same
    assert (found.pairs.person_a[same] == found.pairs.person_b[same]).all()
    assert (found.pairs.person_a[~same] != found.pairs.person_b[~same]).all()


def test_pairs_that_subjects_contradict_are_counted(embedded):
    table, pairs = listed(embedded)
    wrong = pairs.frame.assign(same=~pairs.frame["same"])
    assert verification(table, pairs, resampling=NO_DRAWS).pairs.contradictions == 0
    assert (
        verification(table, type(pairs)(wrong, ()), resampling=NO_DRAWS).pairs.contradictions == 60
    )


def test_by_age_gap(embedded):
    ages = np.tile([20.0, 27.0], 60)
    table, pairs = listed(embedded, age_years=ages)
    found = verification(table, pairs, resampling=NO_DRAWS)
    filled = {name: one for name, one in found.by_gap.items() if one.accuracy.trials}
    assert set(filled) == {"5 to 9"}
    assert filled["5 to 9"].true_match.trials == 30
    matched = found.pairs.score >= np.repeat([part.threshold for part in found.folds], 12)
    same = found.pairs.same
    assert filled["5 to 9"].true_match.value == pytest.approx(matched[same].mean())
    assert filled["5 to 9"].false_match.value == pytest.approx(matched[~same].mean())


def test_a_score_that_is_none_is_refused():
    with pytest.raises(ValueError, match="without a score"):
        roc_curve(np.array([0.1, np.nan]), np.array([True, False]))


def test_ages_of_several_kinds_are_counted(embedded):
    kinds = pd.Categorical(["real", "estimated"] * 60)
    table, pairs = listed(embedded, age_kind=kinds)
    found = verification(table, pairs, resampling=NO_DRAWS)
    assert found.age_kinds == {"real": 60, "estimated": 60}
