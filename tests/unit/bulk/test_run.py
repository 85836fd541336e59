"""Bulk runs with their workers in this process: every kind of input, resuming, refusals."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from PIL import Image

from agelens.bulk import cluster, estimate, filesystems, read_status
from agelens.bulk.filesystems import Location
from agelens.errors import DatasetError, TableError, UsageError
from agelens.evaluation import evaluate
from agelens.evaluation import given_tables as predictions
from agelens.recognition.embedding_table import read_embeddings
from agelens.tables import BOX, SampleTable, write_table

pytestmark = pytest.mark.usefixtures("without_ray")


def rows_of(folder: Path) -> pa.Table:
    return pyarrow.dataset.dataset(folder).to_table().replace_schema_metadata()


@pytest.fixture(scope="module")
def expected(photos: Path, agelens, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """What `agelens estimate` says of the photos."""
    path = tmp_path_factory.mktemp("expected") / "rows.parquet"
    assert agelens("estimate", photos, "-o", path).status == 0
    return pq.read_table(path)


def test_rows_are_those_of_estimate(
    photos: Path, expected: pa.Table, tmp_path: Path, check_document: Callable[[str, str], None]
) -> None:
    status = estimate(photos, tmp_path / "out", shard_rows=3)
    assert rows_of(tmp_path / "out").equals(expected)
    assert (status.shards_done, status.shards, status.photos_done) == (3, 3, 8)
    assert status.is_whole
    assert not status.is_running
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["statuses"] == {"ok": 8}
    assert manifest["settings"]["model"] == "agelens-1"
    assert (tmp_path / "out" / "_SUCCESS").exists()
    assert not list((tmp_path / "out" / "_attempts").iterdir())
    check_document("bulk-manifest", (tmp_path / "out/_manifest.json").read_text())
    check_document("bulk-progress", (tmp_path / "out/_progress.json").read_text())
    shard = pq.read_schema(tmp_path / "out/shard-00000000.parquet")
    check_document("bulk-shard-counts", shard.metadata[b"agelens.bulk"])


def test_a_run_goes_on_where_it_was(
    photos: Path, expected: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    class Killed(BaseException):
        pass

    def kill(status) -> None:
        assert read_status(str(out)).is_running
        raise Killed

    with pytest.raises(Killed):
        estimate(photos, out, shard_rows=3, on_progress=kill)
    first = next(out.glob("shard-*.parquet"))
    made = first.stat().st_mtime_ns
    status = read_status(str(out))
    assert (status.shards_done, status.photos_done) == (1, 3)
    assert not status.is_running
    assert not status.is_whole
    estimate(photos, out, shard_rows=3)
    assert rows_of(out).equals(expected)
    assert first.stat().st_mtime_ns == made
    assert read_status(str(out)).statuses == {"ok": 8}


def test_a_run_that_is_whole_is_left_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate(photos, tmp_path / "out")
    before = (tmp_path / "out" / "_manifest.json").read_text()
    assert estimate(photos, tmp_path / "out").is_whole
    assert (tmp_path / "out" / "_manifest.json").read_text() == before


def test_changed_inputs_and_options_are_refused_with_the_difference(
    photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in photos.iterdir():
        (folder / photo.name).write_bytes(photo.read_bytes())
    out = tmp_path / "out"
    estimate(folder, out)
    with pytest.raises(UsageError, match="gender was False and is True"):
        estimate(folder, out, gender=True)
    with pytest.raises(UsageError, match=r"model was 'agelens-1' and is 'cc0-resnet10'\. Give"):
        estimate(folder, out, model="cc0-resnet10")
    changed = folder / "0002.jpg"
    os.utime(changed, ns=(0, 0))
    with pytest.raises(UsageError, match=r"0002\.jpg is not the file that it was"):
        estimate(folder, out)
    changed.unlink()
    with pytest.raises(UsageError, match=r"photo 3 is .*0003\.jpg, and was .*0002\.jpg"):
        estimate(folder, out)
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match=r"other inputs: \S+photos: no such file"):
        estimate(folder, out)


def table_of(photos: Path) -> pa.Table:
    names = sorted(photo.name for photo in photos.iterdir())
    return pa.table(
        {
            "path": names,
            "age_years": pa.array(range(8), pa.float32()),
            "gender": ["female", None] * 4,
            "codes": pa.array([[1, 2], []] * 4, pa.list_(pa.int8())),
        }
    )


def test_a_tables_columns_come_through_untouched(
    photos: Path, expected: pa.Table, tmp_path: Path
) -> None:
    table = table_of(photos)
    pq.write_table(table, tmp_path / "people.parquet", row_group_size=5)
    estimate(tmp_path / "people.parquet", tmp_path / "out", root=str(photos), shard_rows=3)
    found = rows_of(tmp_path / "out")
    assert found.select(expected.column_names).equals(expected)
    assert found.column_names[len(expected.column_names) :] == [
        *("path", "age_years", "input_gender", "codes")
    ]
    beside = found.select(["path", "age_years", "input_gender", "codes"])
    assert beside.equals(table.rename_columns(["path", "age_years", "input_gender", "codes"]))


def test_a_csv_stays_the_text_that_it_is(photos: Path, tmp_path: Path) -> None:
    lines = [
        "file;subject",
        *(f"{photo.name};00{photo.stem}" for photo in sorted(photos.iterdir())),
    ]
    (tmp_path / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    estimate(tmp_path / "people.csv", tmp_path / "out", root=str(photos), shard_rows=5)
    assert rows_of(tmp_path / "out").column("subject").to_pylist()[:2] == ["000000", "000001"]


def test_bytes_in_a_table_are_photos(photos: Path, expected: pa.Table, tmp_path: Path) -> None:
    files = sorted(photos.iterdir())
    content = [photo.read_bytes() for photo in files]
    pictures = [{"bytes": one, "path": file.name} for one, file in zip(content, files, strict=True)]
    for name, column in (("plain", content), ("pictures", pictures)):
        pq.write_table(pa.table({"image": column, "id": range(8)}), tmp_path / f"{name}.parquet")
        out = tmp_path / name
        estimate(tmp_path / f"{name}.parquet", out, shard_rows=3)
        found = rows_of(out)
        assert found.column("estimate_years").equals(expected.column("estimate_years"))
        assert found.column("id").to_pylist() == list(range(8))
        assert "image" not in found.column_names
    assert found.column("photo")[3].as_py() == "0003.jpg"


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_a_webdataset_archive_is_a_shard(photos: Path, expected: pa.Table, tmp_path: Path) -> None:
    members = []
    for number, photo in enumerate(sorted(photos.iterdir())):
        members += [
            (f"faces/{number:04d}.jpg", photo.read_bytes()),
            (f"faces/{number:04d}.json", json.dumps({"age": number}).encode()),
        ]
    write_tar(tmp_path / "one.tar", members)
    whole = (tmp_path / "one.tar").read_bytes()
    (tmp_path / "two.tar").write_bytes(whole[: len(whole) // 2])
    status = estimate([str(tmp_path / "*.tar")], tmp_path / "out")
    found = rows_of(tmp_path / "out")
    first = found.slice(0, 8)
    assert first.column("estimate_years").equals(expected.column("estimate_years"))
    assert first.column("key")[7].as_py() == "faces/0007"
    assert json.loads(first.column("json")[7].as_py()) == {"age": 7}
    damaged = found.slice(8)
    assert set(damaged.column("status").to_pylist()[:-1]) <= {"ok", "unreadable"}
    assert damaged.column("status")[-1].as_py() == "unreadable"
    assert "two.tar: the archive is damaged" in damaged.column("message")[-1].as_py()
    assert status.photos == found.num_rows


def test_what_cannot_be_used_is_a_row(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    (tmp_path / "clip.mp4").write_bytes(b"")
    listed = [str(next(photos.iterdir())), str(tmp_path / "absent.jpg")]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    names = ["list.txt", "notes.jpg", "clip.mp4"]
    estimate([str(tmp_path / name) for name in names], tmp_path / "out")
    found = rows_of(tmp_path / "out")
    assert found.column("status").to_pylist() == ["ok", "missing", "unreadable", "unreadable"]
    assert "agelens estimate takes videos" in found.column("message")[3].as_py()


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_photos_of_a_folder_that_went_away_are_not_missing(
    kind: str, photos: Path, expected: pa.Table, tmp_path: Path
) -> None:
    disk, gone = tmp_path / "disk", tmp_path / "gone"
    shutil.copytree(photos, disk)
    given: Path | str = disk
    if kind == "table":
        names = sorted(one.name for one in disk.iterdir())
        given = tmp_path / "people.csv"
        given.write_text("\n".join(["path", *names]))

    def unplug(status: object) -> None:
        if disk.exists():
            disk.rename(gone)

    def run(on_progress: Callable[[object], None] | None = None) -> object:
        root = {"root": str(disk)} if kind == "table" else {}
        return estimate(given, tmp_path / "out", shard_rows=3, on_progress=on_progress, **root)

    with pytest.raises(DatasetError, match=r"disk: the folder went away .* run this again"):
        run(unplug)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert len(list((tmp_path / "out").glob("shard-*"))) == 1
    gone.rename(disk)
    run()
    columns = ["status", "estimate_years"]
    assert rows_of(tmp_path / "out").select(columns).equals(expected.select(columns))


def test_embeddings_are_a_column(photos: Path, tmp_path: Path, agelens) -> None:
    estimate(photos, tmp_path / "out", embeddings=True, distribution=True)
    found = pyarrow.dataset.dataset(tmp_path / "out").to_table()
    assert agelens("identity", "embed", photos, "-o", tmp_path / "e.parquet").status == 0
    expected = pq.read_table(tmp_path / "e.parquet")
    assert found.column("embedding").type == expected.column("embedding").type
    ours, theirs = (
        [one for one in table.column("embedding").to_pylist() if one] for table in (found, expected)
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-4)
    key = b"agelens.embedding_model"
    assert found.schema.metadata[key] == expected.schema.metadata[key]
    assert sum(found.select([f"p_{age:03d}" for age in range(101)]).to_pylist()[0].values()) == (
        pytest.approx(1, abs=0.01)
    )


def test_labelling_and_embedding_in_bulk_are_those_without(
    photos: Path, tmp_path: Path, agelens
) -> None:
    left, right = (np.asarray(Image.open(photos / f"000{number}.jpg")) for number in (0, 1))
    Image.fromarray(np.concatenate([left, right], axis=1)).save(tmp_path / "two.png")
    Image.open(photos / "0002.jpg").save(tmp_path / "one.png")
    width = float(left.shape[1])
    boxes = [(0.0, 0.0, width, width), (width, 0.0, 2 * width, width), (1e5, 1e5, 1e5 + 9, 1e5 + 9)]
    boxes += [(np.nan,) * 4] * 2
    paths = ["two.png", "two.png", "one.png", "one.png", "none.png"]
    columns = {"sample_id": list("abcde"), "path": paths, "dataset": "mine"}
    columns |= dict(zip(BOX, zip(*boxes, strict=True), strict=True))
    table = tmp_path / "t.parquet"
    write_table(SampleTable.from_columns(columns), table)
    for command, options in (("data label", ("--model", "agelens-1")), ("identity embed", ())):
        words = (*command.split(), table, "--root", tmp_path, *options)
        alone, bulk = (tmp_path / f"{command[-5:]}-{way}.parquet" for way in ("alone", "bulk"))
        assert agelens(*words, "-o", alone).status == 3
        assert agelens(*words, "-o", bulk, "--bulk", tmp_path / command).status == 3
        one, other = (pq.read_table(file).to_pandas() for file in (alone, bulk))
        assert (one["path"] == other["path"]).all()
        if command == "data label":
            assert one["age_years"].notna().tolist() == [True, True, False, True, False]
            assert other["age_years"].tolist() == pytest.approx(
                one["age_years"].tolist(), abs=1e-3, nan_ok=True
            )
            continue
        assert other["status"].tolist() == ["ok", "ok", "no_face", "ok", "missing"]
        assert one["status"].tolist() == other["status"].tolist()
        assert one["faces"].tolist() == other["faces"].tolist()
        for mine, theirs in zip(one["embedding"], other["embedding"], strict=True):
            assert (mine is None) == (theirs is None)
            assert mine is None or mine == pytest.approx(theirs, abs=1e-4)
    refused = agelens(
        "identity",
        "embed",
        table,
        "--bulk",
        tmp_path / "b",
        "-o",
        tmp_path / "x.parquet",
        "--face",
        "largest",
    )
    assert "--bulk takes one table" in refused.err
    with pytest.raises(UsageError, match="labelled faces are in tables"):
        estimate(photos, tmp_path / "c", labelled=True)


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ({"a": [1]}, None, "no column is known to hold paths of photos"),
        ({"a": ["x.jpg"]}, {"path": "b"}, "there is no column 'b'; found: a"),
        ({"a": ["x.jpg"]}, {"age_years": "a"}, "not age_years: other columns come through"),
        ({"path": ["x.jpg"]}, None, "none of its first 1 photos is there"),
    ],
)
def test_a_table_without_photos_is_refused(table, columns, told: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises((TableError, UsageError), match=told):
        estimate(tmp_path / "t.parquet", tmp_path / "out", columns=columns)


def test_damaged_and_unlike_tables_are_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(TableError, match="cannot be read as a table"):
        estimate(tmp_path / "t.parquet", tmp_path / "out")
    for name, value in (("one", 1), ("two", "1")):
        table = pa.table({"path": [str(next(photos.iterdir()))], "label": [value]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(TableError, match="'label' is string, and int64 in a table before it"):
        estimate([tmp_path / "one.parquet", tmp_path / "two.parquet"], tmp_path / "out")


def test_a_folder_with_other_files_or_without_a_run_is_refused(
    photos: Path, tmp_path: Path, agelens
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files, such as mine\.txt"):
        estimate(photos, tmp_path)
    assert "no bulk run" in agelens("bulk", "--status", tmp_path).err


def test_a_file_system_that_cannot_be_had_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def from_uri(url: str) -> None:
        asked.append(url)
        raise OSError("no such library\ndlopen(one)\ndlopen(another)")

    system = SimpleNamespace(FileSystem=SimpleNamespace(from_uri=from_uri))
    monkeypatch.setattr(filesystems, "pafs", system)
    for url in ("gs://faces/a.jpg", "hdfs://host/a.jpg"):
        with pytest.raises(UsageError, match=r"cannot be used here: no such library$"):
            Location(url).opened()
    # Google's library asks for credentials for a quarter of an hour where nobody limits it.
    assert asked == ["gs://faces/_?retry_limit_seconds=30", "hdfs://host/_"]


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"{address}: there is no Ray cluster"):
            cluster.check_answers(address)
        listening.listen()
        cluster.check_answers(address)
    with pytest.raises(UsageError, match="there is no Ray cluster"):
        cluster.check_answers("127.0.0.1:99999999")
    cluster.check_answers("auto")


def test_the_command_reports_and_says_how_far_a_run_is(
    photos: Path, tmp_path: Path, agelens
) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    ran = agelens("bulk", photos, tmp_path / "notes.jpg", "-o", tmp_path / "out", "--shard-rows", 5)
    assert ran.status == 3
    assert ran.out.splitlines()[:2] == ["9 of 9 photos, 2 of 2 shards", "8 ok, 1 unreadable"]
    asked = agelens("bulk", "--status", tmp_path / "out")
    assert asked.out.splitlines() == ran.out.splitlines()[:2]
    assert agelens("bulk", photos).status == 2
    assert agelens("bulk", photos, "--status", tmp_path / "out").status == 2


@pytest.fixture
def labelled(photos: Path, tmp_path: Path) -> Path:
    """A whole run over a table with ages and genders, with embeddings."""
    pq.write_table(table_of(photos), tmp_path / "people.parquet")
    out = tmp_path / "labelled"
    estimate(tmp_path / "people.parquet", out, root=str(photos), shard_rows=3, embeddings=True)
    return out


def test_a_run_is_evaluated_as_a_table_of_predictions(labelled: Path, tmp_path: Path) -> None:
    found = predictions.one_table(labelled, predictions.Reading(age_kind="real")).predictions
    rows = rows_of(labelled)
    assert found.frame["estimate_years"].tolist() == rows.column("estimate_years").to_pylist()
    assert found.frame["age_years"].tolist() == list(range(8))
    assert found.frame["gender"].tolist()[:1] == ["female"]
    mean = np.abs(np.subtract(rows.column("estimate_years"), range(8))).mean()
    report = evaluate(labelled, age_kind="real", metrics=["mae"], draws=10)
    assert report.to_frame()["value"].tolist() == pytest.approx([mean])


def test_a_run_with_embeddings_is_a_table_of_them(
    labelled: Path, photos: Path, tmp_path: Path
) -> None:
    found = read_embeddings(labelled)
    assert found.has_embedding.all()
    assert found.frame["path"].tolist() == [f"{number:04d}.jpg" for number in range(8)]
    assert found.frame["age_years"].tolist() == list(range(8))
    estimate(photos, tmp_path / "without")
    with pytest.raises(TableError, match="was made without embeddings"):
        read_embeddings(tmp_path / "without")
    (labelled / "_SUCCESS").unlink()
    with pytest.raises(TableError, match="the run is not whole"):
        read_embeddings(labelled)
    with pytest.raises(TableError, match="the run is not whole"):
        evaluate(labelled)


@pytest.mark.parametrize(
    "text", ['{"pho', "[1]", "null", '{"heard": "x"}', '{"heard": 9e99}', '{"statuses": 7}']
)
@pytest.mark.parametrize("name", ["_progress.json", "_manifest.json"])
def test_a_damaged_file_of_a_run_is_a_sentence(
    name: str, text: str, photos: Path, tmp_path: Path, agelens
) -> None:
    estimate(photos, tmp_path / "out")
    (tmp_path / "out" / "_SUCCESS").unlink()
    (tmp_path / "out" / name).write_text(text)
    told = agelens("bulk", "--status", tmp_path / "out")
    assert (told.status, told.out) == (2, "")
    assert f"{name}: cannot be read as" in told.err
    if name == "_manifest.json":
        assert f"{name}: cannot be read as" in agelens("bulk", photos, "-o", tmp_path / "out").err


def test_a_manifest_that_lacks_a_name_is_a_sentence(tmp_path: Path, agelens) -> None:
    (tmp_path / "_manifest.json").write_text('{"format": "agelens-bulk/1"}')
    told = agelens("bulk", "--status", tmp_path)
    assert told.status == 2
    assert "it lacks 'fingerprint'" in told.err
