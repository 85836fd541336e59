"""The predictions table: one row an estimate, with the labels it is measured by.

Columns, in this order: the sample's identity and labels as in `agelens.tables.samples`
(`sample_id`, `dataset`, `age_years`, `age_std`, `age_low`, `age_high`, `age_kind`, `gender`,
`ethnicity`, `subject`, `split`, `fold`, `path`); `estimate_years`; `low_years` and
`high_years`, which bound an interval that claims to hold the share `interval_level`;
`gender_estimate`; where the estimate came from: `model`, `method`, `backbone`, `seed`,
`train_data`; and `status`: ``ok``, or why there is no estimate. Then, where they are given,
`median_years`, `gender_score`, the quality of the picture (`QUALITY`) and the `milliseconds` that
its photo took, and any further columns as they are. All else is as in a sample table: absent
values are missing, never a code.

A distribution over ages is an array [N, K] beside the frame; on disk it is columns, see
`PredictionsTable`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from agelens.ages import AgeScale
from agelens.errors import TableError, UsageError
from agelens.tables.columns import (
    as_categories,
    as_floats,
    as_integers,
    as_plain,
    problems_of,
    raise_problems,
    refuse,
)
from agelens.tables.files import read_frame, write_frame
from agelens.tables.mapping import (
    ColumnMapping,
    Recognised,
    parse_mapping,
    recognised,
    with_row_names,
)
from agelens.tables.samples import (
    GENDERS,
    OLDEST_YEARS,
    UNSTATED,
    YEARS,
    SampleTable,
    cast_sample_column,
    check_labels,
    impossible_ages,
    may_repeat,
)

LABELS: Final = (
    *("sample_id", "dataset", *YEARS, "age_kind", "gender", "ethnicity", "subject"),
    *("split", "fold", "path"),
)
ESTIMATES: Final = (
    *("estimate_years", "low_years", "high_years", "interval_level", "gender_estimate"),
    *("model", "method", "backbone", "seed", "train_data", "status"),
)
QUALITY: Final = (
    *("detection_score", "inter_eye_px", "sharpness", "exposure", "roll_degrees", "yaw_proxy"),
    *("visible_share", "yaw_degrees"),
)
PREDICTION_COLUMNS: Final = (*LABELS, *ESTIMATES)
OPTIONAL_COLUMNS: Final = ("median_years", "gender_score", *QUALITY, "milliseconds")
FURTHER_COLUMNS: Final = ("region", "frame")
"""Words and numbers that only some reports ask for: of birth, and of a video."""
OK: Final = "ok"
NO_ESTIMATE: Final = "no_estimate"
"""The status of a row without an estimate where nobody said why."""

_ESTIMATED_YEARS = ("estimate_years", "low_years", "high_years", "interval_level", "median_years")
_KEY = ("sample_id", "model", "seed")


def conformed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in their order and dtypes, every row with a status.

    Raises:
        TableError: a column is missing, or a value does not fit its column.
    """
    missing = [name for name in PREDICTION_COLUMNS if name not in frame]
    if missing:
        raise TableError(
            f"the predictions lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"they have {', '.join(map(str, frame.columns)) or 'none'}"
        )
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        frame = frame.reset_index(drop=True)
    optional = [name for name in OPTIONAL_COLUMNS if name in frame]
    known = (*PREDICTION_COLUMNS, *optional)
    cast: dict[str, pd.Series] = {}

    def add(name: str) -> None:
        cast[name] = cast_prediction_column(frame[name])

    raise_problems("", problems_of(*(partial(add, name) for name in known)))
    cast["status"] = _with_status(cast["status"], cast["estimate_years"])
    extra = {str(name): frame[name] for name in frame.columns if name not in known}
    return pd.DataFrame(cast | extra, copy=False)


def cast_prediction_column(values: pd.Series) -> pd.Series:
    """One of the columns above, told by its name, in its dtype.

    Raises:
        TableError: a value does not fit; rows are named.
    """
    name = str(values.name)
    if name in LABELS:
        return cast_sample_column(values)
    if name in _ESTIMATED_YEARS:
        return as_floats(values, np.dtype(np.float64))
    if name in OPTIONAL_COLUMNS:
        return as_floats(values, np.dtype(np.float32))
    if name == "seed":
        return as_integers(values, pd.Int64Dtype())
    return as_categories(values, GENDERS if name == "gender_estimate" else None)


def _with_status(status: pd.Series, estimate: pd.Series) -> pd.Series:
    unsaid = status.isna()
    if not unsaid.any():
        return status
    said = as_plain(status).mask(unsaid & estimate.notna(), OK)
    return as_categories(said.mask(unsaid & estimate.isna(), NO_ESTIMATE))


def check_predictions(frame: pd.DataFrame) -> None:
    """What must hold from one column to another.

    Raises:
        TableError: it does not; rows are named.
    """
    ids, estimate, low = (frame[n] for n in ("sample_id", "estimate_years", "low_years"))
    high, level = frame["high_years"], frame["interval_level"]
    failed = estimate.isna() & (frame["status"] == OK)
    complaints = [
        (ids, ids.isna(), "is missing"),
        *(
            (years, years.abs() > OLDEST_YEARS, f"is beyond {OLDEST_YEARS:g} years")
            for years in (estimate, low, high)  # a model may miss below 0
        ),
        (estimate, failed, f"is missing though the status is {OK}"),
        (low, low.isna() & high.notna(), "is missing beside a high_years"),
        (high, high.isna() & low.notna(), "is missing beside a low_years"),
        (high, high < low, "is below low_years"),
        (level, (level <= 0) | (level >= 1), "is not strictly between 0 and 1"),
    ]
    checks = [partial(refuse, *one) for one in complaints]
    raise_problems(
        "", problems_of(*checks, partial(check_labels, frame), partial(_check_key, frame))
    )


def _check_key(frame: pd.DataFrame) -> None:
    if may_repeat(frame["sample_id"]):
        again = frame.duplicated(list(_KEY), keep=False)
        refuse(frame["sample_id"], again, "occurs more than once with the same model and seed")


Distribution: TypeAlias = NDArray[np.float32]
SCALE_COLUMN: Final = "age_scale"
_NAME: Final = re.compile(r"p_\d{3,}")
_ROWS_AT_A_TIME: Final = 16_384
_SHOWN_ROWS: Final = 10


def is_probability(name: str) -> bool:
    """Whether a column of this name is one of a distribution."""
    return _NAME.fullmatch(name) is not None


def probability_names(count: int) -> list[str]:
    """The names of the columns of `count` ages."""
    return [f"p_{number:03d}" for number in range(count)]


def take_distribution(
    frame: pd.DataFrame, scale: AgeScale | None
) -> tuple[pd.DataFrame, Distribution | None, AgeScale | None]:
    """`frame` without the columns of its distribution, the distribution [N, K], and its scale.

    Args:
        frame: with or without such columns; it is left as it is.
        scale: where the frame does not state it.

    Raises:
        TableError: the columns are not numbered from 0 without a gap, the scale is another
            one or has another count, or a value is not a number.
    """
    found = [str(name) for name in frame.columns if is_probability(str(name))]
    stated = _stated_scale(frame)
    if stated and scale and stated != scale:
        raise TableError(f"the table's age_scale is {stated}, but it is to be read as {scale}")
    rest = frame.drop(columns=[*found, SCALE_COLUMN], errors="ignore")
    if not found:
        return rest, None, scale or stated
    names = probability_names(len(found))
    if sorted(found) != sorted(names):
        raise TableError(
            f"the probabilities' columns must be {names[0]} to {names[-1]} for {len(names)} ages, "
            f"whatever the first age is; found {min(found)} to {max(found)}"
        )
    scale = scale or stated or _whole_years(len(names))
    columns = [as_floats(frame[name], np.dtype(np.float32)).to_numpy() for name in names]
    return rest, _rows(columns, len(frame)), scale


def check_distribution(distribution: Distribution, scale: AgeScale, rows: int) -> None:
    """Whether each row [rows, K] is a distribution over `scale`, or NaN throughout.

    Raises:
        TableError: another shape, or a row that is neither; see `AgeScale.normalise`.
    """
    if distribution.shape != (rows, len(scale)):
        raise TableError(
            f"the distribution of {rows} rows over the {len(scale)} ages {scale} has shape "
            f"[{rows}, {len(scale)}], got {list(distribution.shape)}"
        )
    for start in range(0, rows, _ROWS_AT_A_TIME):
        part = distribution[start : start + _ROWS_AT_A_TIME]
        there = np.flatnonzero(~np.isnan(part).all(axis=1))
        try:
            scale.normalise(part[there])
        except ValueError as bad:
            raise TableError(
                f"p_000 to p_{len(scale) - 1:03d}: {bad}, counting rows that have one from row "
                f"{start + int(there[0])}"
            ) from bad


def distribution_columns(distribution: Distribution, scale: AgeScale) -> pd.DataFrame:
    """The columns that hold `distribution` [N, K] in a table, `age_scale` first."""
    columns = pd.DataFrame(distribution, columns=probability_names(len(scale)), copy=False)
    words = pd.CategoricalDtype(pd.Index([str(scale)], dtype=object))
    code = np.zeros(len(columns), dtype=np.int8)
    columns.insert(0, SCALE_COLUMN, pd.Series(pd.Categorical.from_codes(code, dtype=words)))
    return columns


def _rows(columns: list[Distribution], count: int) -> Distribution:
    """Columns [K] of [N] as rows [N, K], as whoever reads a distribution reads it."""
    rows = np.empty((count, len(columns)), dtype=np.float32)
    for start in range(0, count, _ROWS_AT_A_TIME):  # a part at a time stays in the cache
        part = slice(start, start + _ROWS_AT_A_TIME)
        np.stack([column[part] for column in columns], axis=1, out=rows[part])
    return rows


def _stated_scale(frame: pd.DataFrame) -> AgeScale | None:
    if SCALE_COLUMN not in frame:
        return None
    values = as_categories(frame[SCALE_COLUMN])
    words = values.cat.categories.tolist()
    if len(words) > 1:
        raise TableError(f"one table has one age_scale, this one has {' and '.join(words)}")
    try:
        return AgeScale.parse(words[0]) if words else None
    except ValueError as bad:
        raise TableError(f"column 'age_scale': {bad}") from bad


def _whole_years(count: int) -> AgeScale:
    if count < 2:
        raise TableError("a distribution has at least 2 ages, p_000 and p_001")
    return AgeScale.yearly(0, count - 1)


@dataclass(frozen=True, slots=True, eq=False)
class PredictionsTable:
    """Estimates beside labels, checked, in a fixed order of columns and fixed dtypes.

    `frame` must have every column of `PREDICTION_COLUMNS`, in any order; what else it has is
    kept. `distribution` float32 [N, K] lies over `scale`; a row without one is NaN
    throughout.

    A missing `status` becomes ``ok`` where there is an estimate and ``no_estimate`` where
    there is none.

    Raises:
        TableError: a column is missing; a value does not fit its column (rows are named); an
            estimate is infinite, or missing beside the status ``ok``; an interval has one end,
            or ends before it begins; a `sample_id` repeats with the same model and seed; an
            age has no `age_kind`; a distribution without scale or of another shape.
    """

    frame: pd.DataFrame
    distribution: Distribution | None = None
    scale: AgeScale | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", conformed(self.frame))
        check_predictions(self.frame)
        if self.distribution is None:
            return
        if self.scale is None:
            raise TableError("a distribution needs the scale of its ages")
        small = np.asarray(self.distribution, dtype=np.float32)
        object.__setattr__(self, "distribution", small)
        check_distribution(small, self.scale, len(self.frame))

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"PredictionsTable({self.summary()})"

    def _repr_html_(self) -> str:
        first = self.frame.head(_SHOWN_ROWS).dropna(axis="columns", how="all")
        return f"<p>{escape(self.summary())}</p>{first.to_html(index=False)}"

    def summary(self) -> str:
        """One line: how many estimates, by which models, what became of the rows."""
        statuses = self.frame["status"].value_counts()
        counts = ", ".join(f"{count:,} {word}" for word, count in statuses.items() if count)
        models = ", ".join(map(str, self.frame["model"].cat.categories)) or "a model without a name"
        ages = f" over the ages {self.scale}" if self.distribution is not None else ""
        return f"{len(self):,} estimates by {models}{ages}: {counts or 'none'}"

    @classmethod
    def from_columns(
        cls, columns: Mapping[str, object] | pd.DataFrame, scale: AgeScale | None = None
    ) -> PredictionsTable:
        """A table of whole columns, `p_000` and so on among them; those not given are missing.

        `sample_id` and `estimate_years` must be given. `scale` is that of the distribution
        where no column `age_scale` states it.
        """
        given = pd.DataFrame(columns, copy=False)
        frame, distribution, scale = take_distribution(given, scale)
        required = ("sample_id", "estimate_years")
        absent = [n for n in PREDICTION_COLUMNS if n not in frame and n not in required]
        nothing = pd.Series(np.nan, index=frame.index)  # one for all, not a column of objects each
        return cls(frame.assign(**dict.fromkeys(absent, nothing)), distribution, scale)

    @classmethod
    def from_samples(
        cls,
        samples: SampleTable,
        estimates: Mapping[str, Any],
        *,
        distribution: Distribution | None = None,
        scale: AgeScale | None = None,
    ) -> PredictionsTable:
        """Estimates of `samples`, row by row in their order.

        Args:
            samples: N of them; their labels are taken over.
            estimates: columns by name, `estimate_years` among them: N values or one for all.
            distribution: [N, K] over `scale`.
            scale: of the distribution.
        """
        labels = samples.frame[list(LABELS)].assign(**estimates)
        table = cls.from_columns(labels)
        return cls(table.frame, distribution, scale)

    @classmethod
    def concat(cls, tables: Sequence[PredictionsTable]) -> PredictionsTable:
        """One table of several, rows in the order given.

        A column that only some have is missing in the others' rows, and so is a distribution.

        Raises:
            TableError: two have distributions over different scales; see the class.
        """
        names = dict.fromkeys(name for table in tables for name in table.frame)
        frames = [table.frame.reindex(columns=list(names)) for table in tables]
        columns = {
            name: pd.concat([as_plain(frame[name]) for frame in frames], ignore_index=True)
            for name in names
        }
        frame = pd.DataFrame(columns)
        given = [table.scale for table in tables if table.distribution is not None]
        scales = {scale for scale in given if scale is not None}
        if len(scales) > 1:
            raise TableError(
                f"tables over different ages cannot be joined: {' and '.join(map(str, scales))}; "
                "join them without their distributions"
            )
        if not scales:
            return cls(frame)
        (scale,) = scales
        return cls(frame, np.concatenate([_rows_over(table, scale) for table in tables]), scale)

    def select(self, rows: ArrayLike) -> PredictionsTable:
        """The rows that `rows` [N] marks, or numbers."""
        marked = np.asarray(rows)
        chosen = np.arange(len(self))[marked if marked.dtype == bool else marked.astype(np.int64)]
        part = None if self.distribution is None else self.distribution[chosen]
        return PredictionsTable(self.frame.iloc[chosen], part, self.scale)

    def with_labels(self, samples: SampleTable) -> PredictionsTable:
        """The same estimates with the labels of `samples`, found by `sample_id`.

        Raises:
            TableError: an estimate's sample is not among them; rows are named.
        """
        place = pd.Index(samples.frame["sample_id"]).get_indexer(self.frame["sample_id"])
        refuse(self.frame["sample_id"], place < 0, "is not among the samples that have the labels")
        labels = {name: samples.frame[name].take(place).array for name in LABELS}
        return PredictionsTable(self.frame.assign(**labels), self.distribution, self.scale)

    def to_frame(self) -> pd.DataFrame:
        """One frame with everything, the distribution as columns, as it stands on disk."""
        if self.distribution is None or self.scale is None:
            return self.frame
        return pd.concat([self.frame, distribution_columns(self.distribution, self.scale)], axis=1)


def _rows_over(table: PredictionsTable, scale: AgeScale) -> Distribution:
    if table.distribution is not None:
        return table.distribution
    return np.full((len(table), len(scale)), np.nan, dtype=np.float32)


_KNOWN: Final = (*PREDICTION_COLUMNS, *OPTIONAL_COLUMNS, *FURTHER_COLUMNS, SCALE_COLUMN)
_WANTED: Final = (
    *("sample_id", "estimate_years", "age_years", "low_years", "high_years", "gender_estimate"),
    *("gender", "ethnicity", "subject", "split", *FURTHER_COLUMNS),
)


def read_predictions(
    path: str | Path | pd.DataFrame,
    columns: ColumnMapping | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    scale: AgeScale | None = None,
) -> PredictionsTable:
    """The predictions at `path`, a file of `read_frame`'s kinds, or in a frame, checked.

    Another tool's columns are known by their usual names, or told by a mapping from this table's
    columns to the file's; where the file has codes, a column is a pair of its name and the
    codes' meaning:

        {"sample_id": "file", "estimate_years": "pred", "gender": ("sex", {"0": "male"})}

    Further columns are kept. Without a column that names the picture, rows are told apart by their
    numbers. Ages of which the file does not say what they are get the kind `unstated`.

    Args:
        path: of the file, or its content as a frame.
        columns: that mapping, which goes before what names suggest.
        constants: what a column of this table holds in all rows, such as an `age_kind` that
            the file does not state.
        scale: the ages of the distribution's columns, where the file does not state them.

    Raises:
        TableError: there is no such file, or it is damaged or of another kind; it lacks the
            estimate; a column may be two things; a value has no meaning; or what it holds are no
            predictions, see `PredictionsTable`. All that is wrong is told at once.
        UnknownNameError: the mapping or `constants` name a column that the table does not have.
        UsageError: a column is given both ways.
    """
    return read_with_notes(path, columns, constants=constants, scale=scale)[0]


def read_with_notes(
    path: str | Path | pd.DataFrame,
    columns: ColumnMapping | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    scale: AgeScale | None = None,
    name: object = None,
) -> tuple[PredictionsTable, tuple[str, ...]]:
    """As `read_predictions`, and sentences on which columns were taken for what.

    `name` stands in messages where a frame was read from a file.
    """
    what = name or ("the frame" if isinstance(path, pd.DataFrame) else Path(path))
    columns, constants = dict(columns or {}), dict(constants or {})
    known = [*_KNOWN, *filter(is_probability, [*columns, *constants])]
    parse_mapping(dict.fromkeys(constants, ""), known)
    wanted = parse_mapping(columns, known)
    small = {one.source for name, one in wanted.items() if is_probability(name)}
    frame = (
        path
        if isinstance(path, pd.DataFrame)
        else read_frame(Path(path), small_floats=lambda name: is_probability(name) or name in small)
    )
    names = ", ".join(map(str, frame.columns))
    found = recognised(frame, columns, known=known, wanted=_WANTED)
    frame, notes = with_row_names(found.frame)
    for column, value in constants.items():
        if column in frame and frame[column].notna().any():
            raise UsageError(f"{column} is given both as a column of {what} and as a constant")
        frame = frame.assign(**{column: value})
    frame = _with_age_kind(frame)
    problems = _problems(found, frame, names)
    raise_problems(what, [*problems, *found.notes] if problems else ())
    try:
        table = PredictionsTable.from_columns(frame, scale)
    except TableError as bad:
        raise TableError(
            "; ".join((f"{what}: {bad}", *_of_ages(frame, names), *found.notes))
        ) from bad
    return table, (*found.notes, *notes)


def _problems(found: Recognised, frame: pd.DataFrame, names: str) -> list[str]:
    """All that is wrong with the columns, and what to add."""
    problems, remedy = list(found.problems), list(found.remedy)
    if "estimate_years" not in frame and not any("estimate_years could" in p for p in problems):
        problems.append(f"no column is estimate_years, what the model says; found: {names}")
        remedy.append("estimate_years=COLUMN")
    picture = found.guessed.get("sample_id")
    if picture and frame.duplicated(["sample_id", *_tells_apart(frame)]).any():
        problems.append(
            f"{picture} names several rows alike; where these are several faces or frames, say "
            "that it names whom they show, and rows are told apart by their numbers"
        )
        remedy.append(f"subject={picture}")
    if not problems:
        return []
    known = [name for name in frame.columns if name in (*PREDICTION_COLUMNS, *OPTIONAL_COLUMNS)]
    problems += problems_of(*(partial(cast_prediction_column, frame[name]) for name in known))
    problems += _of_ages(frame, names)
    return [*problems, f"add --columns {','.join(remedy)}"] if remedy else problems


def _of_ages(frame: pd.DataFrame, names: str) -> list[str]:
    """What a measurement would refuse next, so that everything is told at once."""
    if "age_years" not in frame:
        return [f"no column is age_years, the true age, if there is one; found: {names}"]
    ages = pd.to_numeric(frame["age_years"], errors="coerce")
    bad = impossible_ages(ages)
    if not bad.any():
        return []
    example = f"{ages[bad].iloc[0]:g}"
    return [f"column 'age_years': {int(bad.sum())} ages that nobody has, such as {example}"]


def _tells_apart(frame: pd.DataFrame) -> list[str]:
    return [name for name in ("model", "seed") if name in frame]


def write_predictions(table: PredictionsTable, path: str | Path) -> None:
    """Write `table` as `.parquet` or `.csv`; the file appears whole or not at all.

    `read_predictions` gives it back with the same values and dtypes; of further columns a CSV
    keeps the values only.

    Raises:
        TableError: the suffix is another one.
        OutputError: the file cannot be written; what was there before is kept.
    """
    write_frame(table.to_frame(), Path(path))


def _with_age_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """Of ages whose file does not say of which kind they are, the kind is unstated."""
    ages = [name for name in ("age_years", "age_low", "age_high") if name in frame]
    if not ages:
        return frame
    aged = frame[ages].notna().any(axis="columns")
    kind = frame["age_kind"] if "age_kind" in frame else pd.Series(None, frame.index, dtype=object)
    return frame.assign(age_kind=as_plain(kind).mask(kind.isna() & aged, UNSTATED))
