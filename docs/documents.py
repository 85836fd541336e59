"""The JSON files that agelens writes, as types of which the site's JSON Schemas are made.

What a dataclass of the code describes is taken from it. `tests/integration/test_docs.py` checks
files that commands have just written against these schemas, and fails on a key that is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from agelens.bulk.folder import FORMAT as BULK_FORMAT
from agelens.bulk.folder import BulkStatus, Counts
from agelens.bulk.inputs import InputFile
from agelens.data.store.card import StoreCard
from agelens.errors import PhotoStatus
from agelens.evaluation.table_calibration import FORMAT as CALIBRATION_FORMAT
from agelens.inference.calibration import BiasCorrection, IntervalCalibration

Words = Mapping[str, int]


class _Told(TypedDict):
    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # type: ignore[misc]


class Environment(_Told):
    """What trained: `environment.json` of a run of `agelens train`."""

    method: str
    backbone: str
    train_data: str
    """Names of the datasets, joined by +."""
    departures: list[str]
    """Where the method differs from its authors' code."""
    agelens: str
    """The version."""
    git: str | None
    """The commit, with a + where files were changed; null where agelens was installed."""
    python: str
    platform: str
    packages: Mapping[str, str | None]
    """Versions."""
    processor: str
    cores: int
    torch_threads: int
    gpus: list[str]
    seed: int


class UsedStore(_Told):
    """A store that a run was trained on."""

    folder: str
    card_sha256: str
    """Of its `store.json`, which has the hashes of all its chips."""
    settings: Mapping[str, Any]


class UsedSplit(_Told):
    """How the samples were split."""

    name: str
    protocol: str
    seed: int | None
    notes: list[str]
    leaks: list[str]
    """People or near-duplicates that are in two parts."""


class Span(_Told):
    """Ages of a part, in years."""

    least: float
    mean: float
    greatest: float


class Part(_Told):
    """The samples of one part."""

    samples: int
    samples_sha256: str
    labels_sha256: str
    left_out: Words
    """Rows that could not be used, by reason."""
    datasets: Words
    age_kinds: Words
    age_years: Span


class TrainAges(_Told):
    """How many training samples have each age."""

    years: list[float]
    samples: list[int]


class NetworkInput(_Told):
    """What the network is given."""

    size: int
    """Pixels a side."""
    resized: int
    """Pixels a side to which a chip is resized before it is cut to `size`."""
    mean: list[float]
    std: list[float]


class Data(_Told):
    """On what it was trained: `data.json` of a run."""

    stores: list[UsedStore]
    split: UsedSplit
    parts: Mapping[str, Part]
    """By name: `train`, `valid`, `test`, and further test stores."""
    words: Mapping[str, list[str]]
    """The answers of further outputs, in their order."""
    train_ages: TrainAges
    input: NetworkInput
    notes: list[str]


class Summary(_Told):
    """What came of it: `summary.json` of a run, which is there once the run is finished."""

    method: str
    backbone: str
    train_data: str
    metrics: Mapping[str, Mapping[str, float | None]]
    """By part: `samples`, `mae`, `bias`, `cs5` and others; `mae/20-29` is that of these ages."""
    best_epoch: int
    """From 0."""
    selected_by: str
    """The metric of the validation part that chose the epoch."""
    parameters: int
    epochs: int
    seconds: float
    model_time_share: float | None
    """Share of the time in which the network worked, and did not wait for data."""


class Failure(_Told):
    """Why a run ended before its end: `failure.json`, there only then."""

    error: str
    """The name of the Python exception."""
    message: str


class Held(_Told):
    """Groups that are held as often as promised, besides everybody."""

    level: float
    groups: list[str]


class MeasuredCoverage(_Told):
    """Coverage of a group before and after, of people whom the corrections were found without."""

    level: float
    grouping: str
    """The column; empty for everybody."""
    group: str
    samples: int
    own_coverage: float
    own_width_years: float
    coverage: float
    width_years: float
    coverage_low: float
    """What the coverage truly is at least, with 95 % confidence."""


class _Calibration(_Told):
    """What calibrations of models and of tables have in common."""

    intervals: list[IntervalCalibration]
    """One for each level."""
    bias: BiasCorrection | None
    samples: int
    people: int
    rows_of_unknown_people: NotRequired[int]
    """Those without a `subject`, each counted as a person; not in cards of before November 2026."""
    left_out: int
    datasets: Words
    parts: Words
    age_kinds: Words
    held: list[Held]
    seed: int
    measured: list[MeasuredCoverage]
    agelens_version: str


class CardCalibration(_Calibration):
    """How intervals are corrected: the section `calibration` of a calibrated model's card."""

    groups_from: str | None
    """The column whose words chose a row's group, where groups were calibrated by themselves."""


class TableCalibration(_Calibration):
    """The same of a table of any tool: `NAME.calibration.json` beside a corrected table."""

    format: Literal[CALIBRATION_FORMAT]  # type: ignore[valid-type]
    base: str
    """What was corrected: the table's intervals, its distributions, or its estimates alone."""
    models: list[str]
    """Whose estimates the table has, where it says so."""


class Manifest(_Told):
    """What a bulk run is: `_manifest.json` in its folder."""

    format: Literal[BULK_FORMAT]  # type: ignore[valid-type]
    fingerprint: str
    """Of the whole input: a run goes on only with the same."""
    photos: int | None
    """Null until the end where archives hide how many there are."""
    shards: int
    settings: Mapping[str, Any]
    """Model with its hash, detector, and what else a run has to be resumed with."""
    columns: Mapping[str, str]
    """Under which name each column of the input is in the results."""
    versions: Mapping[str, str]
    begun: str
    inputs: list[InputFile]
    faces: NotRequired[int]
    """This and what follows is there once the run is whole."""
    statuses: NotRequired[Mapping[PhotoStatus, int]]
    finished: NotRequired[str]


DOCUMENTS = {
    "run-environment": Environment,
    "run-data": Data,
    "run-summary": Summary,
    "run-failure": Failure,
    "calibration": TableCalibration,
    "card-calibration": CardCalibration,
    "bulk-manifest": Manifest,
    "bulk-progress": BulkStatus,
    "bulk-shard-counts": Counts,
    "store": StoreCard,
}
"""Types by the name of their schema, `reference/NAME.schema.json` of the site."""

_BESIDES = {
    "bulk-progress": {"heard": {"type": "number", "description": "When, in Unix time."}},
    "store": {
        "format": {"type": "string"},
        "format_version": {"type": "integer"},
        "rows": {"type": "integer", "description": "Of all shards."},
    },
}
"""Keys that writers add to what a dataclass has."""


def schema(name: str, *, strict: bool = False) -> dict[str, Any]:
    """The JSON Schema of the document `name`; a strict one allows no key that it has not."""
    made: dict[str, Any] = TypeAdapter(DOCUMENTS[name]).json_schema()
    further = _BESIDES.get(name, {})
    made["properties"] |= further
    made["required"] = [*made.get("required", ()), *further]
    if strict:
        for part in (made, *made.get("$defs", {}).values()):
            part.setdefault("additionalProperties", False)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
