"""What the picture of a face allows: a few numbers, and the limits a model's card puts on them.

- `inter_eye_px`: eye centre to eye centre in pixels of the upright photo.
- `sharpness`: variance of the Laplacian over variance of the grey levels, 0 for a flat
  picture. Taken on the chip, so that it compares between photos of any size, and as a
  ratio, so that dim light does not pass for blur.
- `exposure`: mean grey level, 0 black to 1 white.
- `roll_degrees`: angle of the eye line, positive where the right end is lower.
- `yaw_proxy`: how far the nose tip lies from the middle of the eyes, along the eye
  line, in inter-eye distances: 0 is frontal, beyond about 0.4 is a turned head.
- `visible_share`: how much of the face, from brow to chin and cheek to cheek, lies inside the
  photo, 1 where its edge cuts nothing off.
- `dark_eyes`: how much of the band about the eyes is far darker than nose and cheeks, as behind
  sunglasses or a bar.
- `mouth_edges`: how strong the edges about the mouth are, in those of the whole face, few where
  a mask lies over it.
- `bright_eyes`: how bright the eyes are, 1 being as bright as the cheeks: brighter in a negative.

Sharpness and exposure are read off the middle half of the chip: its rim may be background,
or black where it reaches beyond the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike

from agelens.imaging.align import TEMPLATES, apply, similarity
from agelens.records import RGB, Face, Floats, Quality

LEAST_VISIBLE_SHARE: Final = 0.9
"""Below it a face counts as cut off by its photo's edge."""
_MOST_DARK_EYES: Final = 0.6
_LEAST_MOUTH_EDGES: Final = 0.57
_MOST_BRIGHT_EYES: Final = 1.0
_NOSE_DEPTH: Final = 0.6
_FAR_DARKER: Final = 0.45
FRAME: Final = TEMPLATES["dlib-64"]
# Of that frame, what is face rather than surroundings: corners [4, 2] as shares of its side. Of
# 150 photos of UTKFace, none shows less than 0.9 of it as it is, 89 to 100 % with a fifth of the
# face cut off, by the side: `python benchmarks/quality_limits.py UTKFACE_FOLDER --photos 150`.
_FACE_PART: Final = np.array([[0.1, 0.05], [0.9, 0.05], [0.9, 0.9], [0.1, 0.9]])


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Bounds within which a model's estimate may be used unseen; None is no bound."""

    min_inter_eye_px: float | None = None
    min_sharpness: float | None = None
    min_exposure: float | None = None
    max_exposure: float | None = None
    max_roll_degrees: float | None = None
    max_yaw_proxy: float | None = None
    min_visible_share: float | None = None
    max_dark_eyes: float | None = None
    min_mouth_edges: float | None = None
    max_bright_eyes: float | None = None

    def refer(self, quality: Quality) -> str | None:
        """Why `quality` is out of bounds, all reasons in one line, or None where it is not."""
        share = quality.visible_share
        dark, edges, bright = quality.dark_eyes, quality.mouth_edges, quality.bright_eyes
        negative = "the photo may be a negative: brightness of the eyes"
        checks = (
            ("inter-eye distance", quality.inter_eye_px, self.min_inter_eye_px, None, " px"),
            ("sharpness", quality.sharpness, self.min_sharpness, None, ""),
            ("exposure", quality.exposure, self.min_exposure, self.max_exposure, ""),
            ("roll", abs(quality.roll_degrees), None, self.max_roll_degrees, " degrees"),
            ("yaw proxy", abs(quality.yaw_proxy), None, self.max_yaw_proxy, ""),
            ("share of the face in the photo", share, self.min_visible_share, None, ""),
            ("the eyes may be covered: darkness about them", dark, None, self.max_dark_eyes, ""),
            ("the mouth may be covered: edges about it", edges, self.min_mouth_edges, None, ""),
            (negative, bright, None, self.max_bright_eyes, ""),
        )
        reasons = []
        for what, value, low, high, unit in checks:
            if value is None:
                continue
            if low is not None and value < low:
                reasons.append(f"{what} {value:.3g}{unit} is below {low:g}{unit}")
            if high is not None and value > high:
                reasons.append(f"{what} {value:.3g}{unit} is above {high:g}{unit}")
        return "; ".join(reasons) or None


def judge(
    face: Face,
    chip: RGB,
    size_hw: tuple[int, ...] | None = None,
    *,
    matrix: Floats | None = None,
) -> Quality:
    """The numbers for one face and its chip [S, S, 3].

    Args:
        face: with its landmarks in the photo; where those are NaN, as of chips that their owner
            aligned, so is what they tell.
        chip: cut from it.
        size_hw: height and width of the photo; where they are not known, there is no
            `visible_share`.
        matrix: [2, 3] from the photo to the chip; where it is not known, nobody has looked for
            covers.
    """
    rim = chip.shape[0] // 4
    grey = cv2.cvtColor(chip[rim:-rim, rim:-rim], cv2.COLOR_RGB2GRAY).astype(np.float64)
    contrast = float(grey.var())
    known = not np.isnan(face.landmarks).any()
    left_eye, right_eye, nose = face.landmarks[:3]
    eye_line = right_eye - left_eye
    distance = face.inter_eye_px
    along = float(np.dot(nose - (left_eye + right_eye) / 2, eye_line))
    dark, edges, bright = None, None, None
    if matrix is not None and known:
        dark, edges, bright = _covers(chip, apply(matrix, face.landmarks))
    return Quality(
        inter_eye_px=distance,
        sharpness=float(cv2.Laplacian(grey, cv2.CV_64F).var()) / contrast if contrast else 0.0,
        exposure=float(grey.mean()) / 255.0,
        roll_degrees=face.roll_degrees,
        yaw_proxy=0.0 if distance**2 == 0 else along / distance**2,
        visible_share=visible_share(face, size_hw) if size_hw is not None and known else None,
        dark_eyes=dark,
        mouth_edges=edges,
        bright_eyes=bright,
    )


def _covers(chip: RGB, landmarks: Floats) -> tuple[float, float, float]:
    """`dark_eyes`, `mouth_edges` and `bright_eyes` of a chip with its `landmarks` [5, 2].

    Of what the chips tell, these found the masks, bars and sunglasses that were drawn on LFW, and
    its negatives: `benchmarks/covered_faces.py`.
    """
    grey = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)
    side = (FRAME.size, FRAME.size)
    to_frame = similarity(landmarks, FRAME.points)
    face = cv2.warpAffine(grey, to_frame, side, borderMode=cv2.BORDER_REFLECT).astype(np.float64)
    cheeks = float(np.median(face[27:33, 12:52]))
    dark = float((face[12:25, 9:55] < _FAR_DARKER * cheeks).mean())
    edges = _edges(face[36:56, 14:50]) / (_edges(face) + 0.1)  # of a flat picture none
    eyes = [face[y - 2 : y + 3, x - 3 : x + 4] for x, y in FRAME.points[:2].astype(int)]
    return dark, edges, float(np.mean([np.median(eye) for eye in eyes])) / (cheeks + 1)


def _edges(grey: Floats) -> float:
    return float(np.median(np.abs(cv2.Sobel(grey, cv2.CV_64F, 0, 1, ksize=3))))


def visible_share(face: Face, size_hw: tuple[int, ...]) -> float:
    """How much of a face's area lies inside its photo of `size_hw` pixels, 0 to 1.

    The face is a square around the five landmarks, turned and sized like them; see `_FACE_PART`.
    0 where the landmarks are those of no face.
    """
    matrix = similarity(face.landmarks, FRAME.points)
    to_photo = np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
    corners = apply(to_photo, _FACE_PART * FRAME.size - 0.5) + 0.5
    height, width = size_hw[:2]
    photo = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    corners = corners.astype(np.float32)
    area = cv2.contourArea(corners)
    if not 0 < area < np.inf:
        return 0.0
    inside, _ = cv2.intersectConvexConvex(corners, photo)
    return float(np.clip(inside / area, 0, 1))


def partly_seen(
    face: Face, size_hw: tuple[int, ...], chip: RGB | None = None, matrix: Floats | None = None
) -> str:
    """What to say of a face that its photo shows in part, or that seems covered; else nothing.

    Args:
        face: with its landmarks.
        size_hw: height and width of the photo.
        chip: cut from it, to look for covers on.
        matrix: [2, 3] from the photo to the chip.
    """
    share = visible_share(face, size_hw)
    told = [f"only {share:.0%} of the face is in the photo"] if share < LEAST_VISIBLE_SHARE else []
    if chip is not None and matrix is not None and not np.isnan(face.landmarks).any():
        dark, edges, bright = _covers(chip, apply(matrix, face.landmarks))
        told += ["the eyes may be covered"] if dark > _MOST_DARK_EYES else []
        told += ["the mouth may be covered"] if edges < _LEAST_MOUTH_EDGES else []
        told += ["the photo may be a negative"] if bright > _MOST_BRIGHT_EYES else []
    return "; ".join(told)


def yaw_degrees(yaw_proxy: ArrayLike) -> Floats:
    """About how far heads are turned, in degrees [...], from `Quality.yaw_proxy` [...].

    Positive is towards the right of the picture. Seen from afar, a head turned by `a` shows its
    eyes cos(a) as far apart, and its nose tip, which stands h inter-eye distances before them,
    sin(a) h aside: the proxy is h tan(a). With h 0.6, between the eye corners and the corneas of
    the common 3D face models; a flatter or longer nose is off by a fifth. A proxy of 0.6 is 45.
    """
    return np.degrees(np.arctan(np.asarray(yaw_proxy, dtype=np.float64) / _NOSE_DEPTH))
