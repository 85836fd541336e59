"""How often calibrated intervals hold on people apart, overall and by age.

    python benchmarks/calibration.py --model cc0-resnet10 --store STORE

STORE holds labelled chips of the model's kind (agelens data prepare), none of which it was trained
on. They are put into two parts by a hash of their names: one calibrates a copy of the model by
`agelens calibrate`, on the other its 90 % intervals are counted. The target: 88 to 92 % overall,
85 to 95 % in every age band of at least 100 samples.

    --parts P Q    two predictions tables of the model instead, such as those that `agelens predict
                   --own-intervals --split ... --part ...` writes: P calibrates, Q is counted
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from agelens.data.predictions import predict_store
from agelens.data.store import ChipStore
from agelens.evaluation.conformal import Way
from agelens.evaluation.groups import age_bands
from agelens.evaluation.model_calibration import calibrate_model, uncalibrated_outputs
from agelens.inference.answers import point_and_interval
from agelens.inference.cards import load_card
from agelens.inference.estimator import AgeEstimator
from agelens.tables import PredictionsTable, read_predictions
from agelens.workflows.calibrate import write_calibration

LEVEL = 0.9
LEAST = 100
WAYS = {
    "own": None,
    "quantile": (Way(), False),
    "quantile, 10 bins of the estimate": (Way(bins=10), False),
    "quantile, 10 bins of the estimate, bias": (Way(bins=10), True),
    "quantile, 10 bins of the age": (Way(bins=10, bins_of="age"), False),
    "quantile, 20 bins of the age": (Way(bins=20, bins_of="age"), False),
    "quantile, 10 bins of the age, bias": (Way(bins=10, bins_of="age"), True),
    "absolute, 10 bins of the age": (Way("absolute", 10, "age"), False),
}


def main() -> None:
    options = _options()
    if options.parts:
        one, other = (read_predictions(path) for path in options.parts)
    else:
        estimator = AgeEstimator(options.model, calibrated=False)
        table = predict_store(estimator, ChipStore.open(options.store))
        one, other = _halves(table)
    print(f"{len(one):,} rows calibrate, {len(other):,} are counted; 90 % intervals\n")
    for name, way in WAYS.items():
        rows = counted(other, options.model, one, way)
        _tell(name, rows)


def counted(
    table: PredictionsTable, model: str, calibrating: PredictionsTable, way: tuple[Way, bool] | None
) -> pd.DataFrame:
    """Whether each row's interval holds its age, how wide it is, and the row's age band."""
    with tempfile.TemporaryDirectory() as folder:
        card = load_card(model)
        if way is not None:
            found = calibrate_model(calibrating, card, levels=[LEVEL], way=way[0], bias=way[1])
            # Through the card, as use reads it.
            write_calibration(model, found.calibration, Path(folder) / "calibrated")
            card = load_card(Path(folder) / "calibrated")
        rows, answers = uncalibrated_outputs(table, card)
        stated = point_and_interval(answers, LEVEL, card.calibration if way else None)
    frame = table.frame.iloc[rows]
    ages = frame["age_years"].to_numpy()
    inside = (stated.low_years <= ages) & (ages <= stated.high_years)
    error = np.abs(stated.estimate_years - ages)
    width = stated.high_years - stated.low_years
    return pd.DataFrame(
        {"inside": inside, "width": width, "error": error, "band": age_bands(frame).to_numpy()}
    )


def _halves(table: PredictionsTable) -> list[PredictionsTable]:
    first = np.array([_bit(name) for name in table.frame["sample_id"]])
    return [_rows(table, np.flatnonzero(chosen)) for chosen in (first, ~first)]


def _rows(table: PredictionsTable, rows: np.ndarray) -> PredictionsTable:
    distribution = None if table.distribution is None else table.distribution[rows]
    return PredictionsTable(table.frame.iloc[rows], distribution, table.scale)


def _bit(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 0


def _tell(name: str, rows: pd.DataFrame) -> None:
    bands = [(band, part) for band, part in rows.groupby("band", observed=True, sort=False)]
    large = [part["inside"].mean() for _, part in bands if len(part) >= LEAST]
    met = 0.88 <= rows["inside"].mean() <= 0.92 and min(large) >= 0.85 and max(large) <= 0.95
    print(
        f"{name}: {100 * rows['inside'].mean():.1f} % inside, width {rows['width'].mean():.1f} "
        f"years, MAE {rows['error'].mean():.2f}; target {'met' if met else 'missed'}"
    )
    print("  " + ", ".join(_band(str(band), part) for band, part in sorted(bands, key=_first)))


def _band(name: str, part: pd.DataFrame) -> str:
    few = "" if len(part) >= LEAST else f" (of {len(part)} only)"
    return f"{name}: {100 * part['inside'].mean():.1f} % / {part['width'].mean():.0f}{few}"


def _first(band: tuple[object, pd.DataFrame]) -> int:
    return int(str(band[0]).rstrip("+").split("-")[0])


def _options(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", type=Path)
    source.add_argument("--parts", type=Path, nargs=2, metavar=("P", "Q"))
    return parser.parse_args(None if arguments is None else list(arguments))


if __name__ == "__main__":
    main()
