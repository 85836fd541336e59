"""Bulk runs from and to an object store: moto's server, which `make s3` installs."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from agelens.bulk import estimate, read_status
from agelens.errors import UsageError

SERVER = Path(__file__).parents[3] / ".venv-s3" / "bin" / "moto_server"
pytestmark = [
    pytest.mark.usefixtures("without_ray"),
    pytest.mark.skipif(not SERVER.exists(), reason="there is no .venv-s3: make s3 installs it"),
]


@pytest.fixture(scope="module")
def options() -> Iterator[str]:
    """What the URLs of a server that runs end in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [SERVER, "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        try:
            while not _answers(port):
                assert server.poll() is None, server.stderr.read()
                time.sleep(0.05)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
                patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
                patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
                yield f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        finally:
            server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def store(options: str, photos: Path) -> Any:
    """The photos in a bucket of the server, beside an empty one."""
    system, _ = pyarrow.fs.FileSystem.from_uri(f"s3://faces/{options}&allow_bucket_creation=true")
    for bucket in ("faces", "ages"):
        system.create_dir(bucket)
    for photo in photos.iterdir():
        with system.open_output_stream(f"faces/some of/{photo.name}") as file:
            file.write(photo.read_bytes())
    return system


def rows_of(store: Any, path: str) -> pa.Table:
    found = pyarrow.dataset.dataset(path, filesystem=store).to_table()
    return found.replace_schema_metadata()


def test_a_bucket_becomes_another(
    options: str, store: Any, photos: Path, agelens, tmp_path: Path
) -> None:
    assert agelens("estimate", photos, "-o", tmp_path / "rows.parquet").status == 0
    expected = pq.read_table(tmp_path / "rows.parquet")
    given, out = f"s3://faces/some of{options}", f"s3://ages/all/of it{options}"
    assert estimate(given, out, shard_rows=3).statuses == {"ok": 8}
    found = rows_of(store, "ages/all/of it")
    assert found.drop_columns(["photo"]).equals(expected.drop_columns(["photo"]))
    assert found.column("photo")[7].as_py() == "s3://faces/some of/0007.jpg"
    # What is there stays, and what is not is made again.
    store.delete_file("ages/all/of it/_SUCCESS")
    store.delete_file("ages/all/of it/shard-00000001.parquet")
    assert read_status(out).shards_done == 2
    estimate(given, out, shard_rows=3)
    assert rows_of(store, "ages/all/of it").equals(found)
    store.delete_file("faces/some of/0003.jpg")
    with pytest.raises(UsageError, match=r"0004\.jpg, and was .*0003\.jpg"):
        estimate(given, out, shard_rows=3)


def test_a_password_in_a_url_is_not_written_down(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keep passwords out of URLs") as refused:
        estimate("s3://key:secret@faces/some", tmp_path / "out")
    assert "secret" not in str(refused.value)


def test_tables_patterns_and_single_objects(
    options: str, store: Any, photos: Path, tmp_path: Path
) -> None:
    table = pa.table({"path": ["some of/0001.jpg", "some of/absent.jpg"], "label": [1, 2]})
    pq.write_table(table, tmp_path / "t.parquet")
    with store.open_output_stream("faces/t.parquet") as file:
        file.write((tmp_path / "t.parquet").read_bytes())
    given = ["t.parquet", "*/000[01].jpg", "some of/0002.jpg", "some of/gone.jpg"]
    out = tmp_path / "out"
    estimate([f"s3://faces/{name}{options}" for name in given], out)
    found = pyarrow.dataset.dataset(out).to_table()
    assert found.column("status").to_pylist() == ["ok", "missing", "ok", "ok", "ok", "missing"]
    assert found.column("label").to_pylist() == [1, 2, None, None, None, None]
    assert [name[-8:] for name in found.column("photo").to_pylist()] == [
        *("0001.jpg", "sent.jpg", "0000.jpg", "0001.jpg", "0002.jpg", "gone.jpg")
    ]
