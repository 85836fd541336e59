"""Ways to find faces in fewer pixels, or their landmarks more steadily, one by one.

    python benchmarks/detector_passes.py DATA [--photos 60]

DATA holds `fgnet`, `lfw`, `utkface-more` and `london`. Beside the detector as it is (a photo shrunk
to 640 pixels; a face's landmarks are the mean over all finds that overlap it by half) stand the
landmarks of the surest find alone, smaller copies, and a second pass on each face's own square of
it, at a stated size of the face. A row says: processor time a photo; faces found of those found at
640; how far landmarks lie from those at 640, in percent of the distance between the eyes; and by
how many years the default network's estimate moves when the photo is shrunk to 0.9 or loses 3
pixels on each side.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from agelens import AgeEstimator
from agelens.imaging.detectors import retinaface
from agelens.imaging.detectors.base import Detections, bounded_copy
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.imaging.photos import read_photo
from agelens.records import RGB
from agelens.sessions import open_session
from default_model import labelled_face

SETS = ("fgnet", "lfw", "utkface-more", "london")
GREY = (127, 117, 104)
SUREST = "640, the surest find"
INT8 = "640, int8"


class TwoPasses(RetinaFace):
    """Finds faces on a copy of `first` pixels; places landmarks where each face has `side`."""

    name = "two-passes"

    def __init__(self, first: int, side: int | None, surroundings: float = 0.4) -> None:
        super().__init__()
        self.first, self.side, self.surroundings = first, side, surroundings

    def _find(self, rgb: RGB) -> Detections:
        small = bounded_copy(rgb, self.first)
        factor = np.array([small.shape[1] / rgb.shape[1], small.shape[0] / rgb.shape[0]])
        found = super()._find(small)
        boxes, landmarks = found.boxes_xyxy / np.tile(factor, 2), found.landmarks / factor
        if self.side is not None:
            for place, box in enumerate(boxes):
                boxes[place], landmarks[place] = self._again(rgb, box, landmarks[place])
        return Detections(boxes, landmarks, found.scores)

    def _again(
        self, rgb: RGB, box: np.ndarray, landmarks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        centre, size = (box[:2] + box[2:]) / 2, np.sqrt(np.prod(box[2:] - box[:2]))
        scale = self.side / size
        side = round((1 + 2 * self.surroundings) * self.side / 32) * 32
        source = rgb
        if scale < 0.5:  # shrinking by more than half skips pixels
            source = cv2.resize(rgb, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        inner = scale * rgb.shape[1] / source.shape[1]
        shift = side / 2 - scale * centre
        moved = np.array([[inner, 0, shift[0]], [0, inner, shift[1]]])
        square = cv2.warpAffine(source, moved, (side, side), borderValue=GREY)
        again = super()._find(np.asarray(square, dtype=np.uint8))
        if not len(again.scores):
            return box, landmarks
        corners = (again.boxes_xyxy.reshape(-1, 2, 2) - side / 2) / scale + centre
        apart = np.linalg.norm(corners.mean(axis=1) - centre, axis=1)
        best = int(apart.argmin())
        if apart[best] > 0.35 * size:
            return box, landmarks
        return corners[best].reshape(4), (again.landmarks[best] - side / 2) / scale + centre


WAYS = {
    "as it is: 640": (640, None),
    SUREST: (640, None),
    INT8: (640, None),
    "320": (320, None),
    "256": (256, None),
    "320, then faces of 96": (320, 96),
    "320, then faces of 128": (320, 128),
    "320, then faces of 160": (320, 160),
    "640, then faces of 128": (640, 128),
}


def main() -> None:
    options = _options()
    chance = random.Random(0)
    together = retinaface._AGREEING
    for name in SETS:
        files = sorted(options.data.joinpath(name).rglob("*.[jJ][pP]*"))
        photos = [read_photo(file).rgb for file in chance.sample(files, options.photos)]
        print(f"\n{name}, {len(photos)} photos")
        print(f"{'':26}{'ms':>7}{'faces':>10}{'moved':>9}{'scale 0.9':>11}{'crop':>7}")
        reference = [RetinaFace().detect(photo) for photo in photos]
        for way, (first, side) in WAYS.items():
            detector = TwoPasses(first, side)
            if way == INT8:
                detector._session = open_session(_int8(photos), name=INT8)
            # Only a find itself overlaps it wholly.
            retinaface._AGREEING = 1.0 if way == SUREST else together
            start = time.process_time()
            found = [detector.detect(photo) for photo in photos]
            each = (time.process_time() - start) / len(photos)
            estimator = AgeEstimator(detector=detector)
            steady = [_steady(estimator, photo) for photo in photos]
            scaled, cropped = np.nanmean(np.array(steady), axis=0)
            faces = f"{sum(map(len, found))} of {sum(map(len, reference))}"
            moved = _moved(reference, found)
            print(f"{way:26}{1000 * each:7.1f}{faces:>10}{moved:8.1f}%{scaled:11.2f}{cropped:7.2f}")


class _Shown(CalibrationDataReader):
    """Photos as the quantiser asks for them."""

    def __init__(self, photos: list[RGB]) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = (
            {"input": retinaface._blob(bounded_copy(photo, 640))} for photo in photos
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def _int8(photos: list[RGB]) -> bytes:
    """The detector with the weights and inputs of its convolutions in 8 bits."""
    with tempfile.TemporaryDirectory() as folder:
        floats, shaped, ints = (Path(folder, f"{name}.onnx") for name in ("a", "b", "c"))
        floats.write_bytes(retinaface.WEIGHTS)
        quant_pre_process(floats, shaped, skip_symbolic_shape=True)
        quantize_static(
            shaped,
            ints,
            _Shown(photos),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )
        return ints.read_bytes()


def _moved(reference: list, found: list) -> float:
    """Mean distance of landmarks from those of the reference, in percent of the eyes' distance."""
    apart = []
    for before, after in zip(reference, found, strict=True):
        for face in before:
            eyes = np.linalg.norm(face.landmarks[0] - face.landmarks[1])
            each = [np.linalg.norm(one.landmarks - face.landmarks, axis=1).mean() for one in after]
            if each and min(each) < eyes:
                apart.append(min(each) / eyes)
    return 100 * float(np.mean(apart))


def _steady(estimator: AgeEstimator, photo: RGB) -> tuple[float, float]:
    """By how many years the estimate moves, shrunk and cropped; NaN without a face."""
    smaller = cv2.resize(photo, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    variants = (photo, np.asarray(smaller, np.uint8), np.ascontiguousarray(photo[3:-3, 3:-3]))
    years = [
        face.estimate_years if (face := labelled_face(estimator, one)) else np.nan
        for one in variants
    ]
    return abs(years[1] - years[0]), abs(years[2] - years[0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=60, help="of each set")
    return parser.parse_args()


if __name__ == "__main__":
    main()
