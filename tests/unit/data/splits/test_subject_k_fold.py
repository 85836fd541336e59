from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits import RandomSplit, SubjectKFold, describe_leaks
from agelens.data.splits.split import seeded, units_of
from agelens.data.splits.subject_k_fold import balanced_folders
from agelens.errors import UsageError
from agelens.tables import SampleTable

_photos = st.lists(st.integers(1, 12), min_size=1, max_size=40)


def _shuffled(table: SampleTable, seed: int) -> SampleTable:
    return SampleTable(table.frame.sample(frac=1, random_state=seed))


@settings(max_examples=25, deadline=None)
@given(_photos, st.integers(0, 5), st.integers(0, 100))
def test_parts_are_disjoint_cover_and_keep_people_whole(
    people_table, photos, unknown, seed
) -> None:
    table = people_table(photos, unknown=unknown)
    splits = SubjectKFold()(table, seed=seed)
    assert len(splits) == 5
    for split in splits:
        listed = pd.concat(split.parts.values())
        assert sorted(listed) == sorted(table.frame["sample_id"])
        assert describe_leaks(split, table).leaks == ()


@settings(max_examples=25, deadline=None)
@given(_photos, st.integers(0, 20))
def test_row_order_does_not_matter(people_table, photos, seed) -> None:
    table = people_table(photos, unknown=3)
    mixed = _shuffled(table, seed)
    for one, other in zip(
        SubjectKFold()(table, seed=1), SubjectKFold()(mixed, seed=1), strict=True
    ):
        assert {part: set(ids) for part, ids in one.parts.items()} == {
            part: set(ids) for part, ids in other.parts.items()
        }


def _reference(table: SampleTable, folders: int, seed: int) -> dict[str, int]:
    """The benchmark's rule in plain loops, over the same order of people."""
    units = units_of(table, "subject")
    ages = [Counter() for _ in units.prints]
    for unit, age in zip(units.codes, table.frame["age_years"], strict=True):
        ages[unit][int(age)] += 1
    order = sorted(range(len(ages)), key=lambda unit: seeded(units.prints, seed)[unit])
    singles = [unit for unit in order if ages[unit].total() == 1]
    singles.sort(key=lambda unit: min(ages[unit]))
    load = [Counter() for _ in range(folders)]
    chosen = {}
    totals_at_age: dict[int, list[int]] = {}
    for unit in [unit for unit in order if ages[unit].total() > 1] + singles:
        most = max(ages[unit].values())
        age = min(age for age, count in ages[unit].items() if count == most)
        totals = [folder.total() for folder in load]
        if unit in singles:  # ties among singles go by the sizes before their age began
            totals = totals_at_age.setdefault(age, totals)
        folder = min(range(folders), key=lambda f: (load[f][age], totals[f], f))
        load[folder].update(ages[unit])
        chosen[unit] = folder
    return chosen


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.integers(2, 6), st.integers(0, 9))
def test_folders_follow_the_rule(people_table, photos, folders, seed) -> None:
    table = people_table(photos)
    found = balanced_folders(table, units_of(table, "subject"), folders, seed)
    assert dict(enumerate(found.tolist())) == _reference(table, folders, seed)


def _distance(table: SampleTable, folder) -> float:
    """Mean total variation between a folder's age histogram and the whole table's."""
    years = table.frame["age_years"].to_numpy(int)
    whole = np.bincount(years, minlength=120) / len(years)
    parts = [np.bincount(years[folder == one], minlength=120) for one in range(10)]
    return float(np.mean([abs(part / part.sum() - whole).sum() / 2 for part in parts]))


def test_shares_hold_and_ages_are_more_alike_than_by_chance(people_table) -> None:
    photos = np.random.default_rng(3).integers(1, 40, 500).tolist()
    table = people_table(photos)
    for split in SubjectKFold()(table, seed=0):
        counts = np.array([split.counts[part] for part in ("train", "valid", "test")])
        np.testing.assert_allclose(counts / counts.sum(), [0.6, 0.2, 0.2], atol=0.02)
    tenths = {f"part_{one}": 0.1 for one in range(10)}
    (chance,) = RandomSplit(tenths, by="subject")(table)
    dealt = SubjectKFold().folds(table)
    assert _distance(table, dealt) < 0.9 * _distance(table, chance.codes)


def test_without_people_every_age_is_even(people_table) -> None:
    years = np.repeat([1.0, 20.0, 70.0], 100)
    table = people_table([], unknown=300, age_years=years)
    folder = SubjectKFold().folds(table)
    for age in (1.0, 20.0, 70.0):
        assert np.bincount(folder[years == age], minlength=10).tolist() == [10] * 10


def test_few_samples_of_an_age_do_not_pile_up_in_one_folder(people_table) -> None:
    table = people_table([], unknown=100, age_years=np.arange(100.0))
    assert np.bincount(SubjectKFold().folds(table)).tolist() == [10] * 10


def test_another_seed_is_another_split(people_table) -> None:
    table = people_table([3] * 50)
    assert not np.array_equal(SubjectKFold().folds(table), SubjectKFold().folds(table, seed=1))


def test_age_classes_count_by_their_lower_bound(people_table) -> None:
    low = np.repeat([0.0, 25.0], 50)
    table = people_table([], unknown=100, age_years=np.full(100, np.nan), age_low=low)
    folder = SubjectKFold().folds(table)
    assert np.bincount(folder[low == 0]).tolist() == [5] * 10


def test_near_duplicates_stay_whole(people_table) -> None:
    table = people_table([2] * 30)
    ids = table.frame["sample_id"]
    duplicates = pd.Series([1, 1, 1], index=ids.iloc[[0, 20, 40]])
    folder = SubjectKFold().folds(table, duplicates=duplicates)
    assert len(set(folder[[0, 1, 20, 21, 40, 41]])) == 1


@pytest.mark.parametrize("parts", [{"train": [0, 1], "test": [1]}, {"train": [0], "test": [10]}])
def test_an_arrangement_must_fit(parts) -> None:
    with pytest.raises(UsageError, match="no arrangement"):
        SubjectKFold(arrangement=(parts,))


def test_an_empty_table_gives_empty_parts(people_table) -> None:
    splits = SubjectKFold()(people_table([]))
    assert [split.counts for split in splits] == [{"train": 0, "valid": 0, "test": 0}] * 5
