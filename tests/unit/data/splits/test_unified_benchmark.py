from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits import UnifiedBenchmark, describe_leaks
from agelens.data.splits.subject_k_fold import UNIFIED_ARRANGEMENT, SubjectKFold
from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable

# As published for AFAD, shortened to two splits: trained on AFAD, tested on MORPH as well.
PUBLISHED = """
- database: "databases/AFAD-Full_aligned.json"
  tag: "AFAD"
  split:
  - trn: [0,1,2,3,4,5]
    val: [6,7]
    tst: [8,9]
  - trn: [6,7,8,9,0,1]
    val: [2,3]
    tst: [4,5]
- database: "databases/MORPH_aligned.json"
  tag: "MORPH"
  split:
  - trn: []
    val: []
    tst: [0,1,2,3,4,5,6,7,8,9]
  - trn: []
    val: []
    tst: [0,1,2,3,4,5,6,7,8,9]
"""


def _folded(people_table, dataset: str) -> SampleTable:
    table = people_table([2] * 10, fold=[number // 2 for number in range(20)])
    ids = dataset + "/" + table.frame["path"]
    return SampleTable(table.frame.assign(dataset=dataset, sample_id=ids))


def test_a_published_file_arranges_folders_by_database(people_table) -> None:
    table = SampleTable.concat([_folded(people_table, name) for name in ("afad-full", "morph2")])
    first, last = UnifiedBenchmark.from_object(yaml.safe_load(PUBLISHED))(table)
    assert first.codes.tolist() == [0] * 12 + [1] * 4 + [2] * 4 + [2] * 20
    assert last.codes.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [0] * 8 + [2] * 20


def test_without_a_file_the_five_splits_are_taken(people_table) -> None:
    table = people_table([3] * 40)
    table = SampleTable(table.frame.assign(fold=SubjectKFold().folds(table)))
    published, dealt = UnifiedBenchmark()(table), SubjectKFold()(table)
    for one, other in zip(published, dealt, strict=True):
        assert one.codes.tolist() == other.codes.tolist()
        assert describe_leaks(one, table).subject_exclusive


def test_every_folder_is_in_each_split_once() -> None:
    for parts in UNIFIED_ARRANGEMENT:
        assert sorted(folder for part in parts.values() for folder in part) == [*range(10)]


def test_writing_gives_back_what_was_read() -> None:
    benchmark = UnifiedBenchmark.from_object(yaml.safe_load(PUBLISHED))
    assert yaml.safe_load(benchmark.to_text()) == yaml.safe_load(PUBLISHED)


@settings(max_examples=25, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.permutations(range(5))
)
def test_any_name_survives_yaml(name, folders) -> None:
    split = [{"trn": folders[:2], "val": folders[2:3], "tst": folders[3:]}]
    entries = [{"database": name, "tag": name, "split": split}]
    assert yaml.safe_load(UnifiedBenchmark.from_object(entries).to_text()) == entries


def test_folders_are_taken_over_from_the_published_database(people_table) -> None:
    own = people_table([2] * 10)
    published = people_table([2] * 10, fold=[9 - number // 2 for number in range(20)])
    split = UnifiedBenchmark(listed=published)(own)[0]
    assert split.codes.tolist() == [2] * 4 + [1] * 4 + [0] * 12


def test_samples_without_a_folder_are_in_no_part(people_table) -> None:
    split = UnifiedBenchmark()(people_table([3], fold=[0, None, 6]))[0]
    assert split.codes.tolist() == [0, -1, 1]
    assert split.notes == ("1 of 3 samples are in no part",)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "a list of entries"),
        ([], "a list of entries"),
        (["x"], "entry 0: `database`"),
        ([{"database": "d", "split": []}], r"entry 0 \(d\)"),
        ([{"database": "d", "split": [{"trn": [0], "val": [1]}]}], "trn, val and tst"),
        ([{"database": "d", "split": [{"trn": [0], "val": [0], "tst": []}]}], "no folder in two"),
        ([{"database": "d", "split": [{"trn": ["0"], "val": [1], "tst": []}]}], "folder numbers"),
        ([{"database": "d", "split": [{"trn": "01", "val": [1], "tst": []}]}], "folder numbers"),
    ],
)
def test_a_file_of_another_form_is_refused(entries, said) -> None:
    with pytest.raises(UsageError, match=said):
        UnifiedBenchmark.from_object(entries)


def test_databases_must_have_as_many_splits() -> None:
    one = {"trn": [0], "val": [1], "tst": [2]}
    entries = [{"database": "a", "split": [one]}, {"database": "b", "split": [one, one]}]
    with pytest.raises(UsageError, match="as many splits"):
        UnifiedBenchmark.from_object(entries)


def test_a_table_without_folders_is_refused(people_table) -> None:
    with pytest.raises(TableError, match="no row has a fold"):
        UnifiedBenchmark()(people_table([2]))


def test_a_table_of_other_datasets_is_refused(people_table) -> None:
    benchmark = UnifiedBenchmark.from_object(yaml.safe_load(PUBLISHED))
    with pytest.raises(TableError, match=r"\(agedb\) is in the split file.*afad-full, morph2"):
        benchmark(_folded(people_table, "agedb"))
