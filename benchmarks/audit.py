"""What the audit's search for near-duplicates costs, and how that grows.

    python benchmarks/audit.py hashing FOLDER [--pictures 10000]
    python benchmarks/audit.py grouping FOLDER [--counts 1000 3000 10000 30000 100000]
    python benchmarks/audit.py found FOLDER [--pictures 400]

FOLDER holds pictures of faces, such as UTKFace's chips. `hashing` reads and hashes them,
cropped and brightened copies added until there are enough, and groups them: the whole pass.
`grouping` times the search alone, on hashes made from real ones by flipping bits, which keeps how
unevenly they lie. `found` says which changes of a picture are still found.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from agelens.data.auditing import near_duplicate_groups, near_duplicate_pairs, perceptual_hash
from agelens.data.auditing.pictures import look_at_pictures
from agelens.tables import SampleTable

FLIPPED = 0.12  # share of bits: further apart than near-duplicates are
SUFFIXES = (".jpg", ".jpeg", ".png")


def main() -> None:
    options = _options()
    options.run(options, sorted(p for p in options.folder.iterdir() if p.suffix in SUFFIXES))


def whole_pass(pictures: list[Path], count: int) -> tuple[float, float, int]:
    """Seconds to read and hash `count` chips, seconds to group them, groups."""
    with tempfile.TemporaryDirectory() as folder:
        names = [_copied(pictures, number, Path(folder)) for number in range(count)]
        columns = {"sample_id": names, "dataset": "benchmark", "path": names}
        table = SampleTable.from_columns(columns)
        start = time.perf_counter()
        looked = look_at_pictures(table, folder)
        hashed = time.perf_counter()
        groups = near_duplicate_groups(looked.hashes)
        return hashed - start, time.perf_counter() - hashed, len(np.unique(groups))


def grouping(hashes: np.ndarray, count: int) -> float:
    """Seconds to group `count` hashes that lie as unevenly as the real ones."""
    random = np.random.default_rng(0)
    many = hashes[random.integers(0, len(hashes), count)]
    flips = np.packbits(random.random((count, 64 * hashes.shape[1])) < FLIPPED, axis=1)
    many = many ^ flips.view(np.uint64)
    start = time.perf_counter()
    near_duplicate_groups(many)
    return time.perf_counter() - start


def changes() -> dict[str, Callable[[Image.Image], Image.Image]]:
    """The ways in which one photo comes to be in a dataset twice."""

    def every(image: Image.Image) -> Image.Image:
        return _jpeg(_half(_brighter(_cropped(image, 0.01), 1.2)))

    return {
        "JPEG quality 50": _jpeg,
        "half size": _half,
        "20 % brighter": lambda image: _brighter(image, 1.2),
        "20 % darker": lambda image: _brighter(image, 0.8),
        "2 % cropped": lambda image: _cropped(image, 0.01),
        "4 % cropped": lambda image: _cropped(image, 0.02),
        "10 % cropped": lambda image: _cropped(image, 0.05),
        "turned by 2 degrees": lambda image: image.rotate(2, Image.Resampling.BICUBIC),
        "all but the last three": every,
    }


def found(pictures: list[Path]) -> dict[str, float]:
    """Share of the changed pictures that are near-duplicates of the unchanged one."""
    images = [Image.open(path).convert("RGB") for path in pictures]
    shares = {}
    for name, change in changes().items():
        pairs = [(np.asarray(image), np.asarray(change(image))) for image in images]
        hashes = [np.stack([perceptual_hash(one), perceptual_hash(two)]) for one, two in pairs]
        shares[name] = float(np.mean([len(near_duplicate_pairs(both)[0]) for both in hashes]))
    return shares


def _jpeg(image: Image.Image) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=50)
    return Image.open(stored).convert("RGB")


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def _brighter(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _cropped(image: Image.Image, a_side: float) -> Image.Image:
    x, y = round(image.width * a_side), round(image.height * a_side)
    return image.crop((x, y, image.width - x, image.height - y))


def _copied(pictures: list[Path], number: int, folder: Path) -> str:
    """Picture `number` in `folder`: one of those given, or from the second round a changed one."""
    turn, place = divmod(number, len(pictures))
    name = f"{number}.jpg"
    if turn == 0:
        (folder / name).symlink_to(pictures[place].resolve())
        return name
    with Image.open(pictures[place]) as image:
        changed = _brighter(_cropped(image.convert("RGB"), 0.05 * turn), 1 + 0.05 * turn)
        changed.resize(image.size).save(folder / name, quality=90)
    return name


def _hashing(options: argparse.Namespace, pictures: list[Path]) -> None:
    hashing, search, groups = whole_pass(pictures, options.pictures)
    print(f"{options.pictures} chips: {hashing:.1f} s to hash, {search:.1f} s to group ({groups})")


def _grouping(options: argparse.Namespace, pictures: list[Path]) -> None:
    images = (np.asarray(Image.open(path).convert("RGB")) for path in pictures[::4])
    hashes = np.stack([bits for bits in map(perceptual_hash, images) if bits is not None])
    grouping(hashes, 100)
    for count in options.counts:
        seconds = grouping(hashes, count)
        print(f"{count:8,} hashes: {seconds:6.2f} s, {1e6 * seconds / count:5.0f} us each")


def _found(options: argparse.Namespace, pictures: list[Path]) -> None:
    for name, share in found(pictures[:: max(1, len(pictures) // options.pictures)]).items():
        print(f"{name:24} {share:6.1%}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, run in (("hashing", _hashing), ("grouping", _grouping), ("found", _found)):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.set_defaults(run=run)
        if name == "grouping":
            counts = [1_000, 3_000, 10_000, 30_000, 100_000]
            command.add_argument("--counts", type=int, nargs="+", default=counts)
        else:
            command.add_argument("--pictures", type=int, default=10_000 if run is _hashing else 400)
    return parser.parse_args()


if __name__ == "__main__":
    main()
