"""What a packaged model's answers are worth on photos that it was not trained on: README's tables.

    python benchmarks/default_model.py DATA --work DIR [--model agelens-1] [--photos N]

DATA and DIR are those of `benchmarks/agelens_1.py`, whose table says which photos are in the test
part: of UTKFace by hash, of FG-NET by person; and that half of the London and Canada portraits
which did not calibrate. Everything goes from the photo on, detector included. The last table is how
far an answer moves when a photo is saved as JPEG of quality 75, shrunk to 0.9, or loses 3 pixels on
each side; behind it stands what the network takes of one core. `--photos` takes the first N of
each set by the hash of their names.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from agelens import AgeEstimator
from agelens.data.store import ChipStore
from agelens.data.store.cutting import choose_face
from agelens.imaging.photos import read_photo
from agelens.inference.cards import load_card
from agelens.records import RGB, AgeEstimate
from agelens.sessions import keep_freed_memory, open_session
from agelens.tables import read_table

SETS = {"utkface": "utkface", "utkface-more": "utkface", "fgnet": "fgnet", "london": "london"}
BANDS = (0, 3, 10, 18, 30, 45, 60, 200)
CHANGES: dict[str, Callable[[RGB], RGB]] = {
    "JPEG 75": lambda rgb: _jpeg(rgb, 75),
    "scale 0.9": lambda rgb: np.asarray(
        cv2.resize(rgb, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA), dtype=np.uint8
    ),
    "crop of 3 px": lambda rgb: np.ascontiguousarray(rgb[3:-3, 3:-3]),
}


def main() -> None:
    options = _options()
    estimator = AgeEstimator(options.model, gender=True)
    rows = [
        _row(name, sample, options.data, estimator, moved=at < options.moved)
        for name in SETS
        for at, sample in enumerate(_samples(name, options))
    ]
    frame = pd.DataFrame(rows)
    frame["set"] = frame["folder"].map(SETS)
    found = frame[frame["estimate"].notna()]
    print(f"{len(frame)} photos, {len(frame) - len(found)} without a face")
    _errors(found)
    _adults(found[found["set"] == "utkface"])
    _moves(found)
    _seconds(options.model)


def _seconds(model: str) -> None:
    """What the network by itself takes of one core, which is best asked of a quiet machine."""
    keep_freed_memory()  # as the command does
    card = load_card(model)
    session = open_session(card.read_weights(), name=model)
    for faces in (1, 16):
        chips = np.zeros((faces, 3, card.input.size, card.input.size), np.float32)
        taken = []
        for _ in range(30):
            start = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: chips})
            taken.append(1000 * (time.perf_counter() - start) / faces)
        print(f"{np.median(taken):.1f} ms a face, {faces} at once")


def _samples(name: str, options: argparse.Namespace) -> list[pd.Series]:
    """Test samples of one folder, in the order of their hash."""
    frame = ChipStore.open(options.work / "stores" / name, verify=False).table.frame
    ids = frame["sample_id"].astype(str)
    digests = ids.map(lambda one: hashlib.sha256(one.encode()).digest())
    if name == "london":
        chosen = digests.map(lambda digest: digest[0] % 2 == 1)
    else:
        table = read_table(options.work / "training.parquet", extra=None).frame
        chosen = ids.isin(table.loc[table["split"].astype(str) == "test", "sample_id"].astype(str))
    chosen &= frame["age_years"].notna()
    kept = frame[chosen].assign(digest=digests[chosen]).sort_values("digest")
    return [row for _, row in kept.head(options.photos).iterrows()]


def _row(
    folder: str, sample: pd.Series, data: Path, estimator: AgeEstimator, *, moved: bool
) -> dict[str, object]:
    rgb = read_photo(data / folder / str(sample["path"])).rgb
    face = labelled_face(estimator, rgb)
    row: dict[str, object] = {
        "folder": folder,
        "age": float(sample["age_years"]),
        "gender": sample["gender"],
        "estimate": None if face is None else face.estimate_years,
    }
    if face is None:
        return row
    row |= {"low": face.low_years, "high": face.high_years, "told": face.gender}
    if not moved:
        return row
    for name, change in CHANGES.items():
        again = labelled_face(estimator, change(rgb))
        row[name] = None if again is None else abs(again.estimate_years - face.estimate_years)
    return row


def labelled_face(estimator: AgeEstimator, rgb: RGB) -> AgeEstimate | None:
    """The face that a label without a box means."""
    faces = [one for one in estimator.estimate(rgb).faces if one.face is not None]
    chosen = choose_face([one.face for one in faces if one.face], rgb.shape[:2])
    return next((one for one in faces if one.face is chosen), None)


def _errors(frame: pd.DataFrame) -> None:
    error = frame["estimate"] - frame["age"]
    frame = frame.assign(
        error=error.abs(),
        bias=error,
        within=error.abs() <= 5,
        held=(frame["low"] <= frame["age"]) & (frame["age"] <= frame["high"]),
        width=frame["high"] - frame["low"],
        right=frame["told"] == frame["gender"].astype(object),
    )
    band = pd.cut(frame["age"], list(BANDS), right=False).astype(str)
    print(
        f"\n{'set':10}{'ages':>16}{'photos':>8}{'MAE':>7}{'bias':>7}{'CS@5':>7}{'held':>7}"
        f"{'width':>7}{'gender':>8}"
    )
    for name, part in frame.groupby("set"):
        for words, rows in [("all", part), *part.groupby(band[part.index])]:
            known = rows["gender"].notna()
            gender = f"{100 * rows.loc[known, 'right'].mean():7.1f}%" if known.any() else "      - "
            print(
                f"{name:10}{words:>16}{len(rows):8}{rows['error'].mean():7.2f}"
                f"{rows['bias'].mean():+7.2f}{100 * rows['within'].mean():6.1f}%"
                f"{100 * rows['held'].mean():6.1f}%{rows['width'].mean():7.1f}{gender}"
            )


def _adults(frame: pd.DataFrame) -> None:
    minors = frame[frame["age"] < 18]
    adults = frame[frame["age"] >= 18]
    print(
        f"\nunder 18 read as 18 or more: {100 * (minors['estimate'] >= 18).mean():.1f} % of "
        f"{len(minors)}; the reverse: {100 * (adults['estimate'] < 18).mean():.1f} % of "
        f"{len(adults)}"
    )


def _moves(frame: pd.DataFrame) -> None:
    print("\nmean, and largest, change in years of one photo")
    for name in CHANGES:
        moved = frame[name].dropna().astype(float)
        print(f"{name:14}{moved.mean():6.2f}{moved.max():7.2f}   {len(moved)} photos")


def _jpeg(rgb: RGB, quality: int) -> RGB:
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="agelens-1")
    parser.add_argument("--photos", type=int, default=100_000, help="of each folder, at most")
    parser.add_argument("--moved", type=int, default=100, help="photos a folder that are changed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
