"""Whether what a chip tells betrays masks, bars and sunglasses drawn on LFW, and negatives.

    python benchmarks/covered_faces.py LFW_FOLDER UTKFACE_FOLDER FGNET_FOLDER [--photos 400]

Each cover is drawn into the photo by the landmarks of the untouched face, and the face found
anew, as a real one would be. Limits are chosen on one half of LFW's people, UTKFace's and FG-NET's
photos (by the hash of their names), so that at most 2 % of each set's untouched faces are
referred; what is printed is measured on the other half, by the limits of the default's card too.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens import AgeEstimator
from agelens.imaging.align import similarity
from agelens.imaging.detectors import detector_class
from agelens.imaging.photos import read_photo
from agelens.imaging.quality import FRAME
from agelens.records import RGB, AgeEstimate, Face, Photo

Floats = NDArray[np.float64]
FALSE_REFERRALS = 0.02
ROOM = 0.5  # of that share is left, for photos of other kinds than these
COLOURS = {"white": (235, 238, 240), "blue": (150, 190, 215), "black": (25, 25, 28)}
BY_CARD = "by the card's limits"
KEPT = ("dark eyes", "few edges at the mouth", "bright eyes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs=3, type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=400, help="of each set")
    parser.add_argument("--keep", type=Path, help="also write the signals here (.npz)")
    given = parser.parse_args()
    estimator, detector = AgeEstimator(), detector_class("retinaface")()
    lfw, utkface, fgnet = given.folders
    people = sorted(folder for folder in lfw.iterdir() if folder.is_dir())
    sets = {
        "LFW": chosen([sorted(one.glob("*.jpg"))[0] for one in people], given.photos),
        "UTKFace": chosen(utkface.glob("*.jpg"), given.photos),
        "FG-NET": chosen(fgnet.rglob("*.[jJ][pP][gG]"), given.photos),
    }
    rows: dict[str, list[tuple[bool, dict[str, float]]]] = {}
    for name, files in sets.items():
        for file in files:
            photo = read_photo(file)
            face = largest(detector.detect(photo.rgb))
            if face is None:
                continue
            pictures = {name: photo.rgb}
            if name == "LFW":
                pictures |= {cover: draw(photo.rgb, face) for cover, draw in COVERS.items()}
            key = file.parent.name if name == "LFW" else file.name
            first = hashlib.sha256(key.encode()).digest()[1] < 128
            for kind, rgb in pictures.items():
                found = estimator.estimate(Photo(rgb, str(file))).faces
                signals = signals_of(rgb, max(found, key=_area)) if found else {}
                rows.setdefault(kind, []).append((first, signals))
    if given.keep:
        np.savez(given.keep, rows=np.array([rows], dtype=object))
    report(rows, tuple(sets))


def chosen(files: Any, count: int) -> list[Path]:
    return sorted(files, key=lambda p: hashlib.sha256(p.name.encode()).digest())[:count]


def largest(faces: Sequence[Face]) -> Face | None:
    return max(faces, key=lambda f: float(np.prod(f.box_xyxy[2:] - f.box_xyxy[:2])), default=None)


def _area(estimate: AgeEstimate) -> float:
    box = estimate.face.box_xyxy
    return float(np.prod(box[2:] - box[:2]))


def to_photo(face: Face, points: Floats) -> NDArray[np.int32]:
    """Points of the frame of 64 pixels in pixels of the photo."""
    back = cv2.invertAffineTransform(similarity(face.landmarks, FRAME.points))
    return np.round(points @ back[:, :2].T + back[:, 2]).astype(np.int32)


def polygon(rgb: RGB, face: Face, points: Sequence[tuple[float, float]], colour: Any) -> RGB:
    drawn = np.ascontiguousarray(rgb).copy()
    cv2.fillPoly(drawn, [to_photo(face, np.array(points))], colour, cv2.LINE_AA)
    return drawn


def mask(colour: tuple[int, int, int]) -> Callable[[RGB, Face], RGB]:
    outline = [(4, 27), (31, 25), (59, 27), (58, 44), (47, 59), (31, 64), (16, 59), (5, 44)]
    return lambda rgb, face: polygon(rgb, face, outline, colour)


def pleated(rgb: RGB, face: Face) -> RGB:
    """A mask that keeps some of the light on the face, with three folds."""
    drawn = mask(COLOURS["blue"])(rgb, face)
    for y in (34, 41, 48):
        fold = to_photo(face, np.array([(6, y - 1), (31, y + 1), (57, y - 1)], dtype=np.float64))
        width = max(1, round(face.inter_eye_px / 20))
        cv2.polylines(drawn, [fold], isClosed=False, color=(105, 145, 170), thickness=width)
    covered = (drawn != rgb).any(axis=2, keepdims=True)
    light = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None, face.inter_eye_px / 6)
    shaded = drawn * (0.5 + 0.5 * light[..., None] / (float(light[covered[..., 0]].mean()) + 1))
    return np.where(covered, np.clip(shaded, 0, 255), rgb).astype(np.uint8)


def bar(rgb: RGB, face: Face) -> RGB:
    return polygon(rgb, face, [(4, 12), (59, 12), (59, 26), (4, 26)], (0, 0, 0))


def sunglasses(rgb: RGB, face: Face) -> RGB:
    drawn = rgb
    angle = np.linspace(0, 2 * np.pi, 24)
    for x in (19.4, 43.5):
        glass = np.stack([x + 10 * np.cos(angle), 19.5 + 7 * np.sin(angle)], axis=1)
        drawn = polygon(drawn, face, glass.tolist(), (28, 26, 30))
    return polygon(drawn, face, [(27, 16), (36, 16), (36, 18), (27, 18)], (28, 26, 30))


COVERS: dict[str, Callable[[RGB, Face], RGB]] = {
    **{f"{name} mask": mask(colour) for name, colour in COLOURS.items()},
    "folded mask": pleated,
    "bar": bar,
    "sunglasses": sunglasses,
    "negative": lambda rgb, _face: np.asarray(255 - rgb, dtype=np.uint8),
}


def signals_of(rgb: RGB, estimate: AgeEstimate) -> dict[str, float]:
    """What a chip of 64 pixels tells; each the greater, the likelier a cover."""
    matrix = similarity(estimate.face.landmarks, FRAME.points)
    chip = cv2.warpAffine(rgb, matrix, (64, 64), borderMode=cv2.BORDER_REFLECT)
    lab = cv2.cvtColor(chip, cv2.COLOR_RGB2LAB).astype(np.float64)
    mouth, eyes, cheeks = lab[36:56, 14:50], lab[12:25, 9:55], middle(lab[27:33, 12:52])
    brow, whole = middle(lab[4:14, 24:40]), lab[8:56, 8:56, 0].std() + 1
    quality = estimate.quality
    return {
        "dark eyes": float(quality.dark_eyes or 0),
        "few edges at the mouth": -float(quality.mouth_edges or 0),
        "bright eyes": float(quality.bright_eyes or 0),
        "detection score": -float(estimate.face.score),
        "asymmetry of the eyes": asymmetry(lab[12:25, 6:58, 0]),
        "asymmetry of the mouth": asymmetry(lab[36:56, 12:52, 0]),
        "tone, mouth and brow": float(np.abs(middle(mouth) - brow)[1:].sum()),
        "tone, mouth and cheeks": float(np.abs(middle(mouth) - cheeks)[1:].sum()),
        "light, mouth and cheeks": float(np.abs(middle(mouth) - cheeks)[0]),
        "light, eyes and cheeks": float(cheeks[0] - middle(eyes)[0]),
        "flat mouth": -float(mouth[..., 0].std() / whole),
        "flat eyes": -float(eyes[..., 0].std() / whole),
        "spread of the ages": float(estimate.high_years - estimate.low_years),
        BY_CARD: float("may be" in str(estimate.refer)),  # covered, or a negative
    }


def middle(part: Floats) -> Floats:
    return np.asarray(np.median(part.reshape(-1, 3), axis=0))


def asymmetry(half: Floats) -> float:
    return -float(np.corrcoef(half.ravel(), half[:, ::-1].ravel())[0, 1]) if half.std() else 0.0


def report(rows: Mapping[str, list[tuple[bool, dict[str, float]]]], sets: Sequence[str]) -> None:
    names = list(next(signals for _, signals in rows[sets[0]] if signals))
    names.remove(BY_CARD)
    print(f"{'signal':26}" + "".join(f"{kind:>12}" for kind in rows) + "   % referred, other half")
    for name in names:
        limit = limit_of([column(rows[one], name, first=True) for one in sets])
        print(f"{name:26}" + "".join(f"{100 * share:12.1f}" for share in shares(rows, name, limit)))
    limits = {
        name: limit_of([column(rows[one], name, first=True) for one in sets], len(KEPT))
        for name in KEPT
    }
    either = [
        np.mean(np.any([column(found, name, first=False) > limits[name] for name in KEPT], axis=0))
        for found in rows.values()
    ]
    print(f"{'one of the first three':26}" + "".join(f"{100 * share:12.1f}" for share in either))
    carded = shares(rows, BY_CARD, 0.5)
    print(f"{BY_CARD:26}" + "".join(f"{100 * share:12.1f}" for share in carded))
    lost = [np.mean([not signals for _, signals in found]) for found in rows.values()]
    print("limits of the first three:", {name: round(value, 3) for name, value in limits.items()})
    print(f"{'no face found':26}" + "".join(f"{100 * share:12.1f}" for share in lost))


def column(found: Sequence[tuple[bool, dict[str, float]]], name: str, *, first: bool) -> Floats:
    return np.array([signals[name] for half, signals in found if signals and half == first])


def limit_of(untouched: Sequence[Floats], signals: int = 1) -> float:
    """So high that of no set more than 2 % lie above; of `signals` signals each its share."""
    share = FALSE_REFERRALS * (ROOM if signals > 1 else 1) / signals
    return max(float(np.quantile(values, 1 - share)) for values in untouched)


def shares(rows: Mapping[str, Any], name: str, limit: float) -> Iterator[float]:
    for found in rows.values():
        yield float(np.mean(column(found, name, first=False) > limit))


if __name__ == "__main__":
    main()
