"""Drawn faces with labels: a dataset that may be shown to anybody, made on the spot.

No person is on them. Grey hair, wrinkles, the size of the eyes and the shape of the head follow
the age, so that a small network learns it in a minute; the default detector finds all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from agelens.atomic import atomic_folder
from agelens.errors import UsageError

SIDE: Final = 256
_PHOTOS_EACH: Final = 2
_COLUMNS: Final = ("file", "age", "gender", "person", "tone")

Colour = tuple[int, int, int]


def draw_sample(folder: str | Path, count: int = 400, *, seed: int = 0) -> Path:
    """Draw `count` photos of faces into `folder`: ``photos/`` and ``people.csv``.

    Each person is drawn twice, at two ages. The table has the columns `file`, `age` (years),
    `gender` (``female``, ``male``), `person` and `tone` (``dark``, ``middle``, ``light``).
    The same count and seed draw the same pictures.

    Returns:
        The path of the table.

    Raises:
        UsageError: fewer than 2 photos, or the folder exists and is not empty.
    """
    if count < _PHOTOS_EACH:
        raise UsageError(f"a sample needs at least {_PHOTOS_EACH} photos, got {count}")
    chance = np.random.default_rng(seed)
    rows = []
    with atomic_folder(Path(folder), "sample") as place:
        (place / "photos").mkdir()
        for number in range(count):
            if number % _PHOTOS_EACH == 0:
                person = _Person.drawn(chance)
                ages = iter(chance.integers(0, 91, _PHOTOS_EACH).tolist())
            age, file = next(ages), f"{number:04}.jpg"
            draw_face(person, age, chance).save(place / "photos" / file, quality=92)
            who = f"person-{number // _PHOTOS_EACH:03}"
            rows.append((file, age, person.gender, who, person.tone))
        pd.DataFrame(rows, columns=_COLUMNS).to_csv(place / "people.csv", index=False)
    return Path(folder) / "people.csv"


@dataclass(frozen=True, slots=True)
class _Person:
    """What stays the same about somebody: colours, and proportions in pixels."""

    gender: str
    skin: Colour
    hair: Colour
    iris: Colour
    wide: float
    high: float
    beard: int

    @classmethod
    def drawn(cls, chance: np.random.Generator) -> _Person:
        gender = str(chance.choice(["female", "male"]))
        return cls(
            gender=gender,
            skin=_scaled((236, 192, 162), chance.uniform(0.45, 1.0)),
            hair=_scaled((110, 82, 60), chance.uniform(0.2, 1.0)),
            iris=tuple(chance.choice([(70, 45, 25), (60, 90, 120), (70, 100, 60)]).tolist()),
            wide=58 + chance.normal(0, 2),
            high=76 + chance.normal(0, 2),
            beard=int(chance.uniform(0, 90)) if gender == "male" else 0,
        )

    @property
    def tone(self) -> str:
        """A word for how light the skin is."""
        return ("dark", "middle", "light")[min(2, int((self.skin[0] - 106) / 44))]


def draw_face(person: _Person, age: float, chance: np.random.Generator) -> Image.Image:
    """One photo of `person` at `age` years, [256, 256] pixels."""
    child, old = float(np.clip(1 - age / 18, 0, 1)), float(np.clip((age - 25) / 55, 0, 1))
    skin, wide, high = person.skin, person.wide + 6 * child, person.high - 8 * child
    grey = float(np.clip(1.25 * old + chance.normal(0, 0.08), 0, 1))
    hair = _mixed(person.hair, (210, 210, 210), grey)
    behind = _any_colour(chance)
    x, y = SIDE / 2 + chance.normal(0, 5, 2)
    eyes, nose = (y - 6 + 10 * child, 24 - child, 6.5 + 2.5 * child), y + 24 + 4 * child
    mouth, lips = nose + 22 - 3 * child, 19 - 4 * child

    image = Image.new("RGB", (SIDE, SIDE), behind)
    pen = ImageDraw.Draw(image)
    female = person.gender == "female"
    if female:
        pen.ellipse(_box(x, y + 6, wide + 20, high + 28), fill=hair)
    else:
        pen.ellipse((x - wide - 7, y - high - 14, x + wide + 7, y + 20), fill=hair)
    pen.rectangle((x - 26, y + 40, x + 26, y + 120), fill=_scaled(skin, 0.8))
    pen.ellipse(_box(x, y + 168, 105, 72), fill=_any_colour(chance))
    for side in (-1, 1):
        pen.ellipse(_box(x + side * wide, y + 2, 8, 16), fill=_scaled(skin, 0.9))
    pen.ellipse(_box(x, y, wide, high), fill=skin)
    fringe = high * (0.6 if female else 0.6 - 0.45 * old)
    crown = (x - wide - 2, y - high - 6, x + wide + 2, y - high + fringe + 26)
    pen.pieslice(crown, 180, 360, fill=hair)
    image = _shaded(image, person, (x, y), eyes, nose)
    _draw_eyes(ImageDraw.Draw(image), x, eyes, person, hair)
    _draw_mouth(ImageDraw.Draw(image), (x, nose), (mouth, lips), skin)
    if person.beard and age > 18:
        image = _bearded(
            image, (x, y), (wide, high), (mouth, lips), hair=hair, strength=person.beard
        )
    forehead = y - high + fringe / 2 + 28
    _draw_wrinkles(image, x, eyes, (nose, mouth), forehead=forehead, skin=skin, old=old)
    turned = image.filter(ImageFilter.GaussianBlur(1)).rotate(
        chance.normal(0, 5), resample=Image.Resampling.BICUBIC, fillcolor=behind
    )
    light = 1 + 0.18 * np.linspace(-1, 1, SIDE) * chance.choice([-1, 1])
    pixels = np.asarray(turned) * light[:, None] * chance.uniform(0.85, 1.1)
    pixels += chance.normal(0, 5, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


Eyes = tuple[float, float, float]
"""Their height in the picture, distance from the middle, and radius."""


def _shaded(
    image: Image.Image, person: _Person, at: tuple[float, float], eyes: Eyes, nose: float
) -> Image.Image:
    """Soft shadows in the eye sockets, beside the nose and below the cheeks."""
    (x, y), (level, apart, _) = at, eyes
    shade = Image.new("L", (SIDE, SIDE), 0)
    pen = ImageDraw.Draw(shade)
    for side in (-1, 1):
        pen.ellipse(_box(x + side * apart, level - 1, 17, 12), fill=90)
        pen.ellipse(_box(x + side * person.wide * 0.72, y + 45, 15, 28), fill=60)
    pen.polygon([(x - 4, level), (x + 4, level), (x + 11, nose + 4), (x - 11, nose + 4)], fill=45)
    pen.ellipse(_box(x, nose + 37, 14, 5), fill=70)
    dark = Image.new("RGB", image.size, _scaled(person.skin, 0.45))
    return Image.composite(dark, image, shade.filter(ImageFilter.GaussianBlur(5)))


def _draw_eyes(
    pen: ImageDraw.ImageDraw, middle: float, eyes: Eyes, person: _Person, hair: Colour
) -> None:
    level, apart, r = eyes
    for x in (middle - apart, middle + apart):
        pen.ellipse(_box(x, level, 1.7 * r, 0.85 * r), fill=(238, 234, 230))
        pen.ellipse(_box(x, level, 0.8 * r, 0.8 * r), fill=person.iris)
        pen.ellipse(_box(x, level, 0.4 * r, 0.4 * r), fill=(10, 10, 10))
        lid = (x - 1.9 * r, level - 1.1 * r, x + 1.9 * r, level + 1.3 * r)
        pen.arc(lid, 190, 350, fill=_scaled(person.skin, 0.3), width=2)
        brow = (x - 2.6 * r, level - 2.6 * r, x + 2.6 * r, level + 1.2 * r)
        pen.arc(brow, 215, 325, fill=_scaled(hair, 0.7), width=3)


def _draw_mouth(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], mouth: tuple[float, float], skin: Colour
) -> None:
    (x, nose), (level, half) = at, mouth
    for side in (-1, 1):
        pen.ellipse(_box(x + 6 * side, nose - 1, 3, 3), fill=_scaled(skin, 0.45))
    pen.arc((x - 9, nose - 10, x + 9, nose + 5), 20, 160, fill=_scaled(skin, 0.6), width=2)
    red = (int(skin[0] * 0.85), skin[1] // 2, skin[2] // 2)
    pen.ellipse(_box(x, level + 0.5, half, 5.5), fill=red)
    pen.line((x - half + 1, level, x + half - 1, level), fill=_scaled(skin, 0.35), width=2)


def _bearded(
    image: Image.Image,
    at: tuple[float, float],
    head: tuple[float, float],
    mouth: tuple[float, float],
    *,
    hair: Colour,
    strength: int,
) -> Image.Image:
    (x, y), (wide, high) = at, head
    mask = Image.new("L", image.size, 0)
    pen = ImageDraw.Draw(mask)
    chin = (x - wide * 0.85, y - high * 0.2, x + wide * 0.85, y + high * 0.98)
    pen.pieslice(chin, 15, 165, fill=strength)
    pen.ellipse(_box(x, mouth[0], mouth[1], 6), fill=0)
    soft = mask.filter(ImageFilter.GaussianBlur(4))
    return Image.composite(Image.new("RGB", image.size, hair), image, soft)


def _draw_wrinkles(
    image: Image.Image,
    x: float,
    eyes: Eyes,
    mouth: tuple[float, float],
    *,
    forehead: float,
    skin: Colour,
    old: float,
) -> None:
    """On the forehead, at the eyes, and from the nose down: more and darker with age."""
    pen = ImageDraw.Draw(image, "RGBA")
    ink = (*_scaled(skin, 0.5), int(170 * old))
    level, apart, r = eyes
    for line in range(round(5 * old)):
        y = forehead + 7 * line
        pen.arc((x - 34, y - 4, x + 34, y + 10), 205, 335, fill=ink, width=2)
    for side in (-1, 1):
        start, end = (150, 270) if side > 0 else (270, 390)
        fold = (x + 22 * side - 12, mouth[0] - 4, x + 22 * side + 12, mouth[1] + 22)
        pen.arc(fold, start, end, fill=ink, width=2)
        pen.arc(_box(x + side * apart, level + 7, 13, 7), 20, 160, fill=ink, width=2)
        corner = x + side * (apart + 2 * r)
        for line in range(int(4 * old)):
            foot = (corner + 11 * side, level - 8 + 6 * line)
            pen.line((corner, level - 2 + 3 * line, *foot), fill=ink, width=1)


def _box(x: float, y: float, half_wide: float, half_high: float) -> tuple[float, ...]:
    return (x - half_wide, y - half_high, x + half_wide, y + half_high)


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(part * factor)) for part in colour)
    return red, green, blue


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _any_colour(chance: np.random.Generator) -> Colour:
    red, green, blue = chance.integers(60, 210, 3).tolist()
    return red, green, blue
