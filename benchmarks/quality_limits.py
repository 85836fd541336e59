"""How the default model's error grows as a picture gets worse: where its card's limits come from.

    python benchmarks/quality_limits.py UTKFACE_FOLDER [--photos 1200]

Each photo is made smaller, blurred, darker, brighter or turned in steps; the table shows
the measured quality number and the error of the default model at each step. The limits of
`agelens-1` lie where the error has grown by about a year over the untouched photos, those of
`cc0-resnet10` (`--model`) by one to three, no tighter: the last table shows how often each group
of UTKFace is referred. Sharpness is that of the model's own chips. A table before
it has photos that end within the face. The photos are a fixed choice by the hash of their names.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from agelens import AgeEstimator, Photo
from agelens.imaging.photos import read_photo

RACES = {"0": "White", "1": "Black", "2": "Asian", "3": "Indian", "4": "Others"}
Damage = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    options = _options()
    files = sorted(
        options.folder.glob("*_*_*_*.jpg"), key=lambda p: hashlib.sha256(p.name.encode()).digest()
    )
    photos = [read_photo(file) for file in files[: options.photos]]
    ages = np.array([int(Path(photo.source).name.split("_")[0]) for photo in photos], dtype=float)
    estimator = AgeEstimator(options.model)
    print(f"{'damage':22}{'found':>8}{'MAE':>7}{'bias':>7}   median of the quality numbers")
    for name, damage in _damages():
        _report(name, estimator, [Photo(damage(p.rgb), p.source) for p in photos], ages)
    _by_edge(estimator, photos, ages)
    _by_group(estimator, photos)


def _damages() -> Iterator[tuple[str, Damage]]:
    yield "none", lambda rgb: rgb
    for factor in (0.5, 0.25, 0.2, 0.15):
        yield (
            f"size x {factor}",
            lambda rgb, f=factor: _smaller(rgb, f),
        )
    for sigma in (1, 2, 3, 4):
        yield f"blur {sigma} px", lambda rgb, s=sigma: cv2.GaussianBlur(rgb, None, s)
    for gain in (0.7, 0.5, 0.3, 0.2):
        yield f"light x {gain}", lambda rgb, g=gain: (rgb * g).astype(np.uint8)
    for lift in (0.3, 0.5, 0.7):
        yield f"white veil {lift}", lambda rgb, v=lift: (rgb * (1 - v) + 255 * v).astype(np.uint8)
    for degrees in (10, 20, 30, 45):
        yield f"turned {degrees} degrees", lambda rgb, d=degrees: _turned(rgb, d)


def _smaller(rgb: np.ndarray, factor: float) -> np.ndarray:
    """Shrunk, on a grey ground of the first size: a small face in a photo, not a tiny photo."""
    small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    canvas = np.full_like(rgb, 128)
    top, left = (np.array(rgb.shape[:2]) - small.shape[:2]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _turned(rgb: np.ndarray, degrees: float) -> np.ndarray:
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def _report(name: str, estimator: AgeEstimator, photos: list[Photo], ages: np.ndarray) -> None:
    results = estimator.estimate(photos)
    found = np.array([bool(r.faces) for r in results])
    if not found.any():
        print(f"{name:22}{0:8.1%}")
        return
    faces = [r.faces[0] for r in results if r.faces]
    errors = np.array([face.estimate_years for face in faces]) - ages[found]
    numbers = {
        key: np.median([abs(face.quality.to_json()[key]) for face in faces])
        for key in faces[0].quality.to_json()
    }
    shown = "  ".join(f"{key} {value:.3g}" for key, value in numbers.items())
    print(
        f"{name:22}{found.mean():8.1%}{np.abs(errors).mean():7.2f}{errors.mean():+7.2f}   {shown}"
    )


def _by_edge(estimator: AgeEstimator, photos: list[Photo], ages: np.ndarray) -> None:
    """Photos that end within the face's box: their error, and the share with little of the face."""
    print("\nphotos cut through the face")
    whole = estimator.estimate(photos)
    kept = [n for n, result in enumerate(whole) if result.faces]
    for share in (0, 0.1, 0.2, 0.3):
        for side in ("left", "top", "right", "bottom")[: 4 if share else 1]:
            cut = [_cut(photos[n], whole[n].faces[0].face.box_xyxy, side, share) for n in kept]
            found = [
                (result.faces[0], ages[n])
                for n, result in zip(kept, estimator.estimate(cut), strict=True)
                if result.faces
            ]
            error = np.mean([abs(face.estimate_years - age) for face, age in found])
            seen = np.array([face.quality.visible_share for face, _ in found])
            print(
                f"  {share:4.0%} of the {side:7} n {len(found):5}  MAE {error:5.2f}  "
                f"visible share: median {np.median(seen):.2f}, below 0.9 {np.mean(seen < 0.9):.1%}"
            )


def _cut(photo: Photo, box_xyxy: np.ndarray, side: str, share: float) -> Photo:
    """`photo` without `share` of the face's box, and all that lies beyond it, on one side."""
    if not share:
        return photo
    left, top, right, bottom = box_xyxy
    x, y = share * (right - left), share * (bottom - top)
    rgb = {
        "left": photo.rgb[:, int(left + x) :],
        "top": photo.rgb[int(top + y) :],
        "right": photo.rgb[:, : int(right - x)],
        "bottom": photo.rgb[: int(bottom - y)],
    }[side]
    return Photo(np.ascontiguousarray(rgb), photo.source)


def _by_group(estimator: AgeEstimator, photos: list[Photo]) -> None:
    """Share of untouched photos that the card's limits refer, by UTKFace's race word."""
    referred: dict[str, list[bool]] = {}
    for photo, result in zip(photos, estimator.estimate(photos), strict=True):
        fields = Path(photo.source).name.split("_")
        if result.faces and fields[2] in RACES:
            referred.setdefault(RACES[fields[2]], []).append(result.faces[0].refer is not None)
    print("\nuntouched photos referred")
    for race, which in sorted(referred.items()):
        print(f"  {race:8} n {len(which):5}  {np.mean(which):.1%}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1200)
    parser.add_argument("--model", default="agelens-1")
    return parser.parse_args()


if __name__ == "__main__":
    main()
