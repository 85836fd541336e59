"""Models and labelled faces as users name them; a run knows its own store and split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.predictions import check_other_chips, predict_photos, predict_store
from agelens.data.splits.resolve_split import SplitOptions, labels_of, resolve_split
from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.evaluation.finished_runs import TEST, finished_run, run_folder
from agelens.imaging.sources import PHOTO_SUFFIXES, tree
from agelens.inference.cards import CARD_FILE
from agelens.inference.estimator import AgeEstimator
from agelens.progress import Progress
from agelens.tables import PredictionsTable, SampleTable, read_table
from agelens.workflows.chosen import ALL, Chosen, card_of


def estimator_of(model: Any, **options: Any) -> AgeEstimator:
    """The estimator that `model` is, or is opened by; a run is exported first where it is not.

    Args:
        model: an `AgeEstimator`, a name, a card, a folder with one, or a run or its folder.
        options: those of `AgeEstimator`.
    """
    if isinstance(model, AgeEstimator):
        return model
    folder = run_folder(model)
    if folder is not None and not (folder / CARD_FILE).is_file():
        from agelens.training.run import load_run  # noqa: PLC0415 - loads torch

        return load_run(folder).estimator(**options)
    return AgeEstimator(str(folder or model), **options)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFaces:
    """Samples whose column `split` says their part: chips of `store`, or photos below `root`.

    `rows` [N] are their places in the store, where there is one.
    """

    samples: SampleTable
    rows: NDArray[np.int64]
    store: ChipStore | None
    root: Any = None

    def predict(self, estimator: AgeEstimator, progress: Progress | None) -> PredictionsTable:
        """What the estimator says of each face, with its label and its part.

        Raises:
            UsageError: chips that are not the model's, or a root that holds none of the photos.
        """
        if self.store is None:
            return predict_photos(estimator, self.samples, self.root, on_progress=progress)
        found = predict_store(estimator, self.store, rows=self.rows, on_progress=progress)
        return found.with_labels(self.samples)


def labelled_faces(
    data: Any, chosen: Chosen, *, model: Any = None, root: Any = None
) -> LabelledFaces:
    """The faces that `data` names; None are those of the run that `model` is.

    Args:
        data: a chip store or its folder, or a sample table or its file.
        chosen: which of them.
        model: of the chips of a store, which must be cut as its card asks for.
        root: where a table's photos are, unless the table says so itself.

    Raises:
        UsageError: no data and no run; no such part; chips that are not the model's.
        DatasetError: no store.
        TableError: no table.
    """
    folder = run_folder(model)
    run = None if folder is None else finished_run(folder)
    if data is None:
        if run is None:
            raise UsageError(
                "name the faces: a chip store, or a table of labelled photos. Only a run of "
                "agelens train knows its own"
            )
        stores = [Path(one["folder"]) for one in run.data["stores"]]
        if len(stores) > 1:
            named = ", ".join(map(str, stores))
            raise UsageError(f"{run.folder} was trained on several stores, name one: {named}")
        data = stores[0]
    if isinstance(data, SampleTable) or _is_table_file(data):
        table = data if isinstance(data, SampleTable) else read_table(data, extra=None)
        return _of_table(table, chosen, root)
    store = data if isinstance(data, ChipStore) else ChipStore.open(data)
    if model is not None:
        check_other_chips(store, card_of(model))  # before the network is opened
    own = run is not None and store.folder.resolve() in {
        Path(one["folder"]).resolve() for one in run.data["stores"]
    }
    if run is None or not own or chosen.split is not None:
        return _of_store(store, store.table, chosen, chosen.part)
    settings = run.config["data"]
    split = {name: settings[name] for name in ("split", "fold") if name in settings}
    options = SplitOptions(**split, seed=settings.get("split_seed", 0))
    table = labels_of([store], settings.get("table"))
    parts = _parts_by(table, options)
    return _of_store(store, table, chosen, chosen.part or TEST, parts)


def _is_table_file(data: Any) -> bool:
    return isinstance(data, str | Path) and bool(Path(data).suffix) and not Path(data).is_dir()


def chips_below(folder: Path) -> SampleTable:
    """The pictures in `folder` and the folders below it, by their paths and without labels.

    Raises:
        UsageError: there are none, or a folder cannot be listed.
    """
    paths: list[str] = []
    for below, files in tree(str(folder), suffixes=PHOTO_SUFFIXES, deep=True):
        if isinstance(files, OSError):
            raise UsageError(f"{below}: the folder cannot be listed: {files.strerror}") from files
        paths += (Path(file).relative_to(folder).as_posix() for file in files)
    if not paths:
        raise UsageError(f"{folder}: neither a chip store nor a folder with pictures")
    name = folder.resolve().name
    return SampleTable.from_columns({"sample_id": paths, "dataset": name, "path": paths})


def _of_table(table: SampleTable, chosen: Chosen, root: Any) -> LabelledFaces:
    samples, _ = _chosen_samples(table, chosen, chosen.part, _parts(table, chosen))
    return LabelledFaces(samples, np.arange(len(samples)), None, root)


def _of_store(
    store: ChipStore,
    table: SampleTable,
    chosen: Chosen,
    part: str | None,
    parts: pd.Series | None = None,
) -> LabelledFaces:
    known = _parts(table, chosen) if parts is None else parts
    samples, _ = _chosen_samples(table, chosen, part, known)
    places = pd.Index(store.table.frame["sample_id"])
    rows = places.get_indexer(samples.frame["sample_id"]).astype(np.int64)
    there = rows >= 0
    kept = SampleTable(samples.frame[there], samples.extra)
    return LabelledFaces(kept, rows[there], store)


def _chosen_samples(
    table: SampleTable, chosen: Chosen, part: str | None, parts: pd.Series
) -> tuple[SampleTable, NDArray[np.int64]]:
    rows = np.arange(len(table))
    if part not in (None, ALL):
        rows = np.flatnonzero((parts == part).to_numpy())
        if not rows.size:
            found = ", ".join(sorted(map(str, parts.dropna().unique()))) or "none"
            raise UsageError(f"no row is of part {part!r}; parts: {found}")
    if chosen.limit is not None and chosen.limit < len(rows):
        random = np.random.default_rng(chosen.seed)
        rows = np.sort(random.choice(rows, chosen.limit, replace=False))
    frame = table.frame.assign(split=parts.to_numpy(dtype=object)).iloc[rows]
    return SampleTable(frame, table.extra), rows


def _parts(table: SampleTable, chosen: Chosen) -> pd.Series:
    """The part [N] of each row, by the split that is asked for, or as the table says."""
    if chosen.split is None:
        return table.frame["split"].astype(object)
    fold = int(str(chosen.fold)) if str(chosen.fold).isdecimal() else chosen.fold
    return _parts_by(table, SplitOptions(chosen.split, chosen.split_seed, fold))


def _parts_by(table: SampleTable, options: SplitOptions) -> pd.Series:
    split = resolve_split(table, options)
    names = np.array([*split.part_names, None], dtype=object)
    return pd.Series(names[split.codes_for(table)], index=table.frame.index)
