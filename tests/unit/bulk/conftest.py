"""A bulk run whose workers are in this process, without Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from agelens.bulk import cluster
from agelens.bulk.shards import Job, ShardWorker
from agelens.data.drawn_sample import draw_sample


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight drawn faces."""
    return draw_sample(tmp_path_factory.mktemp("drawn") / "sample", 8).parent / "photos"


@contextmanager
def _nothing(*_: object) -> Iterator[None]:
    yield


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are done one after the other, by a worker as Ray would call it."""

    def dataset(packed: list[dict[str, bytes]], job: Job, num_gpus: int) -> SimpleNamespace:
        worker = ShardWorker(job)
        made = (worker({"shard": [one["shard"]]})["counts"] for one in packed)
        return SimpleNamespace(iter_rows=lambda: ({"counts": one} for (one,) in made))

    monkeypatch.setattr(cluster, "load_ray", lambda address=None: None)
    monkeypatch.setattr(cluster, "ray_running", _nothing)
    monkeypatch.setattr(cluster, "told_plainly", _nothing)
    monkeypatch.setattr(cluster, "dataset", dataset)
