"""Result rows on disk: valid at every moment, and what is there is never lost by mistake."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from agelens.errors import OutputError, UsageError
from agelens.inference.result_files import OUTPUT_SUFFIXES, IfExists, ResultFile, is_whole

TABLES = [".csv", ".parquet"]


def row(number: int) -> dict[str, Any]:
    made = {"model": "m", "detector": "d", "agelens_version": "1"}
    return {"photo": f"{number} é.jpg", "status": "no_face", "message": "", "faces": []} | made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def photos(path: Path) -> list[str]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [line["photo"] for line in csv.DictReader(file)]
    if path.suffix == ".parquet":
        return list(pq.read_table(path)["photo"].to_pylist())
    return [line["photo"] for line in lines(path)]


def written(path: Path, count: int = 3, if_exists: IfExists = "refuse") -> Path:
    with ResultFile(path, if_exists=if_exists) as output:
        for number in range(count):
            output.append(row(number))
    return path


def torn(path: Path, error: type[BaseException], count: int = 2) -> None:
    with pytest.raises(error), ResultFile(path) as output:
        for number in range(count):
            output.append(row(number))
        raise error


@pytest.mark.parametrize("suffix", [*OUTPUT_SUFFIXES, ".CSV"])
def test_all_rows_arrive_and_nothing_else_is_left(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"ages{suffix}")
    assert list(tmp_path.iterdir()) == [path]
    if suffix != ".CSV":
        assert photos(path) == ["0 é.jpg", "1 é.jpg", "2 é.jpg"]


def test_json_lines_are_there_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "ages.jsonl"
    with ResultFile(path) as output:
        for number in range(3):
            output.append(row(number))
            assert lines(path) == [row(n) for n in range(number + 1)]


def test_letters_are_written_as_they_are(tmp_path: Path) -> None:
    assert "é".encode() in written(tmp_path / "ages.jsonl").read_bytes()


@pytest.mark.parametrize("suffix", TABLES)
def test_tables_appear_at_the_end_and_rows_in_the_journal_at_once(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"ages{suffix}"
    with ResultFile(path) as output:
        output.append(row(0))
        assert not path.exists()
        assert output.journal == tmp_path / f"ages{suffix}.partial.jsonl"
        assert lines(output.journal) == [row(0)]
    assert is_whole(path)


@pytest.mark.parametrize("suffix", TABLES)
def test_an_interrupt_leaves_table_and_journal(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"ages{suffix}"
    torn(path, KeyboardInterrupt)
    assert photos(path) == ["0 é.jpg", "1 é.jpg"]
    assert not is_whole(path)
    with ResultFile(path, if_exists="resume") as output:
        assert [done.row["photo"] for done in output.done()] == ["0 é.jpg", "1 é.jpg"]
        output.append(row(2))
    assert photos(path) == ["0 é.jpg", "1 é.jpg", "2 é.jpg"]
    assert is_whole(path)


@pytest.mark.parametrize("suffix", TABLES)
def test_a_fault_of_the_disk_leaves_the_journal_only(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"ages{suffix}"
    torn(path, OutputError)
    assert [file.name for file in tmp_path.iterdir()] == [f"ages{suffix}.partial.jsonl"]


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
def test_an_output_that_exists_is_refused_and_kept(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"ages{suffix}")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"exists already: choose --resume or --overwrite"):
        ResultFile(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", TABLES)
def test_a_journal_without_its_table_is_refused_too(suffix: str, tmp_path: Path) -> None:
    journal = tmp_path / f"ages{suffix}.partial.jsonl"
    journal.write_text(json.dumps(row(0)) + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"partial\.jsonl exists already"):
        ResultFile(tmp_path / f"ages{suffix}")
    assert lines(journal) == [row(0)]


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
def test_overwrite_begins_anew(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"ages{suffix}")
    assert photos(written(path, count=1, if_exists="overwrite")) == ["0 é.jpg"]


@pytest.mark.parametrize("suffix", TABLES)
def test_resuming_a_whole_table_never_empties_it(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"ages{suffix}")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="whole already"):
        ResultFile(path, if_exists="resume")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
def test_resuming_nothing_is_a_new_run(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"ages{suffix}"
    assert not is_whole(path)
    assert photos(written(path, if_exists="resume")) == ["0 é.jpg", "1 é.jpg", "2 é.jpg"]


@pytest.mark.parametrize("tear", [b'{"photo": "x', b'{"photo": "x", "status": "ok"}', b"\xff"])
def test_a_torn_last_line_is_left_out_and_cut_off(tear: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "ages.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + tear)
    with ResultFile(path, if_exists="resume") as output:
        done = list(output.done())
        assert [d.row for d in done] == [row(0), row(1), row(2)]
        assert done[-1].end == len(whole)
        output.keep(done[-1].end)
        output.append(row(3))
    assert lines(path) == [row(n) for n in range(4)]


def test_rows_can_be_cut_back_to_any_of_them(tmp_path: Path) -> None:
    path = written(tmp_path / "ages.jsonl")
    with ResultFile(path, if_exists="resume") as output:
        first = next(output.done())
        output.keep(first.end)
        output.append(row(9))
    assert lines(path) == [row(0), row(9)]


@pytest.mark.parametrize("line", ["not json", "7", "null", "[]", "{}", '{"photo": "a.jpg"}'])
def test_a_file_that_is_no_result_is_not_resumed(line: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps(row(0)) + f"\n{line}\n", encoding="utf-8")
    before = path.read_bytes()
    words = rf"byte {before.index(b'}') + 2}: .*--overwrite"
    with ResultFile(path, if_exists="resume") as output, pytest.raises(OutputError, match=words):
        list(output.done())
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["ages.txt", "ages", "ages.json", "ages.jsonl.gz"])
def test_other_suffixes_list_those_that_work(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.jsonl, \.csv, \.parquet"):
        ResultFile(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; create it first"):
        ResultFile(tmp_path / "none" / "ages.csv")


@pytest.mark.parametrize("if_exists", ["resume", "overwrite"])
def test_an_output_that_is_a_folder(if_exists: IfExists, tmp_path: Path) -> None:
    (tmp_path / "ages.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*directory"):
        ResultFile(tmp_path / "ages.jsonl", if_exists=if_exists)


@pytest.mark.parametrize("suffix", TABLES)
def test_a_table_that_cannot_be_put_in_place_keeps_its_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"ages{suffix}"
    output = ResultFile(path)
    with pytest.raises(OutputError, match=r"rows are kept in .*partial\.jsonl"), output:
        output.append(row(0))
        path.mkdir()
    assert lines(output.journal) == [row(0)]
    assert sorted(tmp_path.iterdir()) == [path, output.journal]


def test_numbers_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with ResultFile(tmp_path / "ages.jsonl") as output, pytest.raises(ValueError, match="JSON"):
        output.append(row(0) | {"time_seconds": float("nan")})
    assert lines(tmp_path / "ages.jsonl") == []


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
@pytest.mark.parametrize("if_exists", ["resume", "overwrite"])
def test_two_runs_cannot_write_one_output(suffix: str, if_exists: IfExists, tmp_path: Path) -> None:
    path = tmp_path / f"ages{suffix}"
    with ResultFile(path) as output:
        output.append(row(0))
        with pytest.raises(UsageError, match="another agelens is writing it now"):
            ResultFile(path, if_exists=if_exists)
        output.append(row(1))
    assert photos(path) == ["0 é.jpg", "1 é.jpg"]
    assert list(tmp_path.iterdir()) == [path]
    written(path, if_exists="overwrite")


def test_overwriting_after_a_failed_write_leaves_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "ages.jsonl")
    with ResultFile(path, if_exists="overwrite") as output:

        class Full:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def write(self, _: bytes) -> int:
                raise OSError(28, "No space left on device")

        real = output._file
        monkeypatch.setattr(output, "_file", Full())
        with pytest.raises(OutputError, match="No space left"):
            output.append(row(0))
        monkeypatch.setattr(output, "_file", real)
        output.append(row(1))
    assert lines(path) == [row(1)]


@pytest.mark.parametrize("suffix", OUTPUT_SUFFIXES)
@pytest.mark.parametrize("again", [False, True])
def test_an_output_that_is_removed_meanwhile_is_told(
    suffix: str, again: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    output = ResultFile(folder / f"ages{suffix}")
    words = r"was removed or replaced while it was being written, and its rows with it"
    with pytest.raises(OutputError, match=words), output:
        output.append(row(0))
        output.journal.unlink()
        if again:
            output.append(row(1))


def test_what_a_killed_run_left_of_a_table_is_removed(tmp_path: Path) -> None:
    torn(tmp_path / "ages.csv", OutputError)
    (tmp_path / ".ages.csv.7.partial").write_bytes(b"half")
    (tmp_path / ".other.csv.7.partial").write_bytes(b"half")
    with ResultFile(tmp_path / "ages.csv", if_exists="resume") as output:
        output.append(row(2))
    assert sorted(file.name for file in tmp_path.iterdir()) == [".other.csv.7.partial", "ages.csv"]


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_is_no_formula_in_a_spreadsheet(mark: str, tmp_path: Path) -> None:
    evil = row(0) | {"photo": f"{mark}HYPERLINK(1).jpg", "message": f"{mark}1"}
    with ResultFile(tmp_path / "ages.csv") as output:
        output.append(evil)
    with (tmp_path / "ages.csv").open(newline="", encoding="utf-8") as file:
        (cells,) = csv.DictReader(file)
    assert (cells["photo"], cells["message"]) == (f"'{evil['photo']}", f"'{mark}1")


def test_other_cells_of_a_spreadsheet_stay(tmp_path: Path) -> None:
    face = {
        **{"box_xyxy": [-3.5, 1, 2, 3], "landmarks": [[-1, 2]] * 5, "quality": {}},
        "estimate_years": 30.5,
    }
    with ResultFile(tmp_path / "ages.csv") as output:
        output.append(row(0) | {"photo": "a=b.jpg", "faces": [face]})
    with (tmp_path / "ages.csv").open(newline="", encoding="utf-8") as file:
        (cells,) = csv.DictReader(file)
    assert (cells["photo"], cells["box_x1"]) == ("a=b.jpg", "-3.5")
