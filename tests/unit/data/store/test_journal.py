from __future__ import annotations

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.data.store.card import ShardEntry
from agelens.data.store.chip_store import JOURNAL_NAME, StoreJournal
from agelens.errors import OutputError, UsageError

IDENTITY = {"size": 64, "margin": 0.0, "table_sha256": "abc"}


def entry(number, content):
    digest = hashlib.sha256(content).hexdigest()
    return ShardEntry(f"chips-{number:05d}.arrow", 1, len(content), digest, {"ok": 1})


def begin(folder, shards=2):
    contents = {number: b"shard" * (number + 1) for number in range(shards)}
    with StoreJournal(folder, IDENTITY) as journal:
        for number, content in contents.items():
            journal.commit(number, content, entry(number, content))
    return contents


def test_goes_on_with_the_shards_that_are_there(tmp_path):
    contents = begin(tmp_path)
    with StoreJournal(tmp_path, IDENTITY) as journal:
        assert journal.shards == {n: entry(n, c) for n, c in contents.items()}
        journal.finish(b"{}")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("chips-00000.arrow", "chips-00001.arrow", "store.json")
    ]


def test_changed_and_missing_shards_are_not_taken_over(tmp_path):
    begin(tmp_path, 3)
    (tmp_path / "chips-00000.arrow").write_bytes(b"shorn")
    (tmp_path / "chips-00001.arrow").unlink()
    with StoreJournal(tmp_path, IDENTITY) as journal:
        assert list(journal.shards) == [2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cut=st.integers(0, 10_000))
def test_a_journal_torn_anywhere_resumes(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("torn")
    begin(folder)
    journal_file = folder / JOURNAL_NAME
    whole = journal_file.read_bytes()
    journal_file.write_bytes(whole[: cut % (len(whole) + 1)])
    with StoreJournal(folder, IDENTITY) as journal:
        assert set(journal.shards) <= {0, 1}
    begin(folder)
    with StoreJournal(folder, IDENTITY) as journal:
        assert set(journal.shards) == {0, 1}


def test_other_options_are_refused_by_name(tmp_path):
    begin(tmp_path)
    with pytest.raises(UsageError, match="size: there 64, now 112"):
        StoreJournal(tmp_path, IDENTITY | {"size": 112})


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UsageError, match="holds other files"):
        StoreJournal(tmp_path, IDENTITY)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_one_run_at_a_time(tmp_path):
    with (
        StoreJournal(tmp_path, IDENTITY),
        pytest.raises(UsageError, match="another run is preparing"),
    ):
        StoreJournal(tmp_path, IDENTITY)
    StoreJournal(tmp_path, IDENTITY).__exit__(None, None, None)


def test_a_full_disk_keeps_what_was_there(tmp_path, files_of_at_most):
    begin(tmp_path, 1)
    large = b"x" * 100_000
    with StoreJournal(tmp_path, IDENTITY) as journal:
        with (
            files_of_at_most(50_000),
            pytest.raises(OutputError, match=r"chips-00001\.arrow: .*make room"),
        ):
            journal.commit(1, large, entry(1, large))
        assert list(journal.shards) == [0]
        assert not list(tmp_path.glob("*.partial"))
        journal.commit(1, large, entry(1, large))
    with StoreJournal(tmp_path, IDENTITY) as journal:
        assert list(journal.shards) == [0, 1]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        StoreJournal(tmp_path / "file" / "store", IDENTITY)


def test_what_a_killed_write_left_is_removed(tmp_path):
    begin(tmp_path, 1)
    (tmp_path / ".chips-00001.arrow.4711.partial").write_bytes(b"half")
    with StoreJournal(tmp_path, IDENTITY) as journal:
        assert list(journal.shards) == [0]
    assert not list(tmp_path.glob(".*"))
