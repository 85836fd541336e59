"""Bulk runs on Ray: workers that die, drivers that are killed, machines that go away.

One cluster of two nodes on this machine serves all tests of the file; the last one ends a node.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from agelens.bulk import estimate, run
from agelens.bulk.cluster import told_plainly
from agelens.bulk.shards import Job
from agelens.data.drawn_sample import draw_sample
from agelens.errors import OutputError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its own insides

# A detector that kills its process where a photo is bright red, as a decoder would that crashes.
KILLER = '''
"""Finds faces; a red photo is the end of the process."""
import os
import pathlib

from agelens.imaging.detectors.retinaface import RetinaFace


class Killer(RetinaFace):
    def detect(self, rgb):
        if rgb[..., 0].min() > 250 and rgb[..., 1:].max() < 5:
            os._exit(9)
        return super().detect(rgb)


class Noting(RetinaFace):
    """Says which GPUs Ray lent the process, in a folder of this module's."""

    def detect(self, rgb):
        import ray

        folder = pathlib.Path(__file__).parent / "gpus"
        folder.mkdir(exist_ok=True)
        (folder / str(os.getpid())).write_text(repr(ray.get_gpu_ids()))
        return super().detect(rgb)
'''


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A module that workers find as well, since it is there before Ray is started."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "killing_detector.py").write_text(KILLER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        source = Path(__file__).parents[3] / "src"
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(source)]))
        import killing_detector

        yield killing_detector


@pytest.fixture(scope="module")
def cluster(killer: ModuleType) -> Iterator[Any]:
    """Two nodes of one core and a GPU that is only said to be there; this process is a driver."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 * 2**20}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    made = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        made.add_node(**node)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray has one of its own


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn faces."""
    return draw_sample(tmp_path_factory.mktemp("drawn") / "sample", 12).parent / "photos"


@pytest.fixture(scope="module")
def expected(photos: Path, agelens, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """What `agelens estimate` says of them."""
    path = tmp_path_factory.mktemp("expected") / "rows.parquet"
    assert agelens("estimate", photos, "-o", path).status == 0
    return pq.read_table(path)


def rows_of(folder: Path) -> pa.Table:
    return pyarrow.dataset.dataset(folder).to_table().replace_schema_metadata()


def test_nothing_is_told_to_the_makers_of_ray() -> None:
    """Not even where the environment allows it."""
    asked = (
        "from agelens.bulk.cluster import load_ray; load_ray()\n"
        "from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "print(usage_stats_enabled())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked],
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["False"]


def test_a_photo_that_kills_its_worker_is_a_row_and_the_others_are_unharmed(
    cluster: Any, killer: ModuleType, photos: Path, expected: pa.Table, tmp_path: Path
) -> None:
    from PIL import Image

    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    files = [str(photo) for photo in sorted(photos.iterdir())]
    given = [*files[:3], str(tmp_path / "red.png"), *files[3:]]
    out = tmp_path / "out"
    estimate(given, out, detector=killer.Killer(), shard_rows=6, threads=1)
    found = rows_of(out)
    assert found.column("status").to_pylist() == ["ok"] * 3 + ["crashed"] + ["ok"] * 9
    assert "killed its worker 3 times" in found.column("message")[3].as_py()
    others = found.filter(pa.compute.equal(found.column("status"), "ok"))
    assert others.drop_columns(["photo"]).equals(expected.drop_columns(["photo"]))
    assert not list((out / "_attempts").iterdir())


def test_what_a_worker_says_is_said_plainly() -> None:
    """Ray hands it back as an error of both kinds, whose text is a traceback, and adds advice."""
    from ray.exceptions import RayTaskError

    advice = "\nFailed to apply UDF transform after 1/1 attempts.\nTo change retry attempts, ..."
    said = OutputError(f"cannot write: no space left{advice}")
    found = RayTaskError("submit", "Traceback:\n...", said).as_instanceof_cause()
    with pytest.raises(OutputError, match=r"^cannot write: no space left$"), told_plainly():
        raise found


def is_begun(out: Path, shards: int) -> bool:
    """Whether a run has said what it does, and done so many shards."""
    return (out / "_manifest.json").exists() and len(list(out.glob("shard-*"))) >= shards


def test_a_killed_driver_loses_nothing(
    cluster: Any, photos: Path, expected: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [str(photos), "-o", str(out), "--shard-rows", "1", "--threads", "1"]
    command = [sys.executable, "-m", "agelens", "bulk", *words, "--address", cluster.address]
    chance = Random(16)
    for shards in (0, 1, 3):  # that are there when it is killed, or a little later
        with subprocess.Popen(command, stderr=subprocess.PIPE) as driver:
            try:
                while not is_begun(out, shards):
                    assert driver.poll() is None, driver.stderr.read()
                    time.sleep(0.02)
                time.sleep(chance.uniform(0, 0.2))
            finally:
                driver.kill()
    assert not (out / "_SUCCESS").exists()
    estimate(photos, out, shard_rows=1, threads=1)
    assert rows_of(out).equals(expected)
    assert json.loads((out / "_manifest.json").read_text())["statuses"] == {"ok": 12}


def test_a_worker_has_a_gpu_of_its_own(  # noqa: PLR0917 - fixtures
    cluster: Any,
    killer: ModuleType,
    photos: Path,
    expected: pa.Table,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Ray lends them: no network runs on one, since there is none."""

    def on_the_cpu(made: Any) -> Any:
        return lambda **given: made(**given | {"device": "cpu"})

    def job(*, settings: dict[str, Any], **given: Any) -> Job:
        return Job(settings=settings | {"device": "cpu"}, **given)

    monkeypatch.setattr(run, "AgeEstimator", on_the_cpu(run.AgeEstimator))
    monkeypatch.setattr(run, "Job", job)
    options = {"detector": killer.Noting(), "shard_rows": 3}
    with pytest.raises(UsageError, match="--num-gpus 3: Ray knows of 2 GPUs"):
        estimate(photos, tmp_path / "three", num_gpus=3, **options)
    estimate(photos, tmp_path / "two", num_gpus=2, **options)  # of two threads on nodes of one core
    assert rows_of(tmp_path / "two").equals(expected)
    noted = [one.read_text() for one in (Path(killer.__file__).parent / "gpus").iterdir()]
    assert set(noted) == {"[0]"}


def test_a_node_that_goes_away_loses_nothing(
    cluster: Any, photos: Path, expected: pa.Table, tmp_path: Path
) -> None:
    (gone,) = [node for node in cluster.list_all_nodes() if not node.head]
    done = []

    def end_a_node(status: Any) -> None:
        done.append(status.shards_done)
        if len(done) == 2:
            cluster.remove_node(gone, allow_graceful=False)

    out = tmp_path / "out"
    estimate(photos, out, shard_rows=1, threads=1, on_progress=end_a_node)
    assert rows_of(out).equals(expected)
    assert done == list(range(1, 13))
