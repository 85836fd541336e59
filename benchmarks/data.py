"""What data preparation and training input cost, beside the plain way, in the same run.

    python benchmarks/data.py prepare FOLDER [--photos 400] [--rounds 5]
    python benchmarks/data.py input FOLDER [--photos 600] [--rounds 5] [--workers 0 2]

FOLDER holds pictures, such as UTKFace's. Each measurement runs in a process of its own, the
contenders take turns, and a ratio is taken turn by turn, so that a machine whose speed
drifts does not favour either; CPU time an item shows what others on the machine took. Stores
are made in a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms
from torchvision.transforms import functional

from agelens import AgeEstimator
from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store import ChipStore, prepare
from agelens.data.training_input import ChipBatch, ChipDataset, preset_named
from agelens.imaging.detectors import detector_class
from agelens.tables import SampleTable

SUFFIXES = (".jpg", ".jpeg", ".png")
BATCH = 128
SIZE = 112
LEAST_SECONDS = 3.0  # of a measured run of training input


@dataclass(frozen=True)
class Run:
    """One measured run: items a second of the clock, CPU seconds of the process an item."""

    rate: float
    cpu: float


class Clock:
    """Starts when made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.perf_counter() - self._start[0]

    def run(self, items: int) -> Run:
        """What `items` took since then."""
        return Run(items / self.seconds, (time.process_time() - self._start[1]) / items)


def main() -> None:
    options = _options()
    files = sorted(p.name for p in options.folder.iterdir() if p.suffix.lower() in SUFFIXES)
    # Spread over the folder, whose order is often by age.
    files = files[:: max(1, len(files) // options.photos)][: options.photos]
    print(f"{len(files)} pictures of {options.folder.name}; {os.cpu_count()} cores")
    options.run(options, files)


def _prepare(options: argparse.Namespace, files: list[str]) -> None:
    job = {"folder": str(options.folder), "files": files}
    runs: dict[str, list[Run]] = {"estimate": [], "prepare": []}
    for _ in range(options.rounds):
        for name, measured in runs.items():
            measured.append(_in_own_process(name, job))
    print("photos a second: median (min to max); ratio to estimate, turn by turn")
    _print(runs, "estimate", cpu=True)


def _input(options: argparse.Namespace, files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        job: dict[str, Any] = {"folder": str(options.folder), "store": folder, "files": files}
        _in_own_process("two-pass-store", job)
        for workers in options.workers:
            job["workers"] = workers
            runs: dict[str, list[Run]] = {"PIL loop": [], "chip store": []}
            for _ in range(options.rounds):
                for name, measured in runs.items():
                    measured.append(_in_own_process(name, job))
            print(f"{workers} workers, {SIZE} x {SIZE}, preset ldl, images a second:")
            _print(runs, "PIL loop", cpu=workers == 0)  # workers' time is not their parent's


def _worker_estimate(job: dict[str, Any]) -> Run:
    files = [Path(job["folder"]) / name for name in job["files"]]
    estimator = AgeEstimator()
    estimator.estimate(files[0])
    clock = Clock()
    return clock.run(sum(1 for _ in estimator.stream(files)))


def _worker_prepare(job: dict[str, Any]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        options = {"size": SIZE, "detector": detector_class("retinaface")()}
        prepare(_table(job["files"][:1]), Path(folder, "warm"), root=job["folder"], **options)
        table = _table(job["files"])
        clock = Clock()
        return clock.run(prepare(table, Path(folder, "store"), root=job["folder"], **options).rows)


def _worker_two_pass_store(job: dict[str, Any]) -> Run:
    table = _table(job["files"])
    clock = Clock()
    options = {"size": SIZE, "two_pass": True, "margin": 0.2}
    return clock.run(prepare(table, job["store"], root=job["folder"], **options).rows)


def _worker_chip_store(job: dict[str, Any]) -> Run:
    torch.set_num_threads(1)  # as the other contender has
    transform = preset_named("ldl").for_training(SIZE)
    dataset = ChipDataset(ChipStore.open(job["store"]), transform=transform)
    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        sampler=RandomSampler(dataset, generator=torch.Generator().manual_seed(0)),
        num_workers=job["workers"],
        collate_fn=_whole,
        persistent_workers=job["workers"] > 0,
        worker_init_fn=_one_thread,
    )
    return _epochs(loader)


def _whole(batch: ChipBatch) -> ChipBatch:
    return batch


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's own threads do not survive a fork


def _worker_pil_loop(job: dict[str, Any]) -> Run:
    """The label-distribution system's loop: open, turn, crop and augment each item in PIL."""
    frame = ChipStore.open(job["store"]).table.frame
    rows = frame[["path", "age_years", "roll_degrees", *ROTATED_BOX]].dropna().to_dict("records")
    # The same chances and strengths as the preset's; hue 40 degrees is 1/9 of the circle.
    colour = transforms.ColorJitter(hue=40 / 360, saturation=30 / 255, brightness=20 / 255)
    light = transforms.ColorJitter(brightness=0.2, contrast=0.2)
    flip = transforms.RandomHorizontalFlip(0.3)
    finish = transforms.Compose(
        [
            transforms.Resize((SIZE, SIZE)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    class Faces(Dataset):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
            row = rows[index]
            image = Image.open(Path(job["folder"]) / row["path"]).convert("RGB")
            image = image.rotate(row["roll_degrees"], Image.Resampling.BICUBIC, expand=True)
            image = image.crop(_expanded([row[name] for name in ROTATED_BOX], image.size, 0.2))
            image = flip(image)
            if random.random() < 0.3:
                image = colour(image)
            if random.random() < 0.3:
                image = functional.adjust_gamma(image, random.uniform(0.8, 1.2))
            if random.random() < 0.3:
                image = light(image)
            return finish(image), row["age_years"]

    torch.set_num_threads(1)
    workers = job["workers"]
    loader = DataLoader(
        Faces(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    return _epochs(loader)


def _expanded(box: list[float], size_wh: tuple[int, int], expand: float) -> tuple[int, ...]:
    grow = [(box[2] - box[0]) * expand / 2, (box[3] - box[1]) * expand / 2]
    wide = [box[0] - grow[0], box[1] - grow[1], box[2] + grow[0], box[3] + grow[1]]
    return tuple(int(min(max(edge, 0), size_wh[i % 2])) for i, edge in enumerate(wide))


def _epochs(loader: Any) -> Run:
    for _ in loader:  # starts the workers, fills the caches
        pass
    images, clock = 0, Clock()
    while clock.seconds < LEAST_SECONDS:
        for batch in loader:
            images += len(batch[0])
    return clock.run(images)


def _table(files: list[str]) -> SampleTable:
    columns = {
        "sample_id": files,
        "dataset": "benchmark",
        "path": files,
        "age_years": [float(place % 80) for place in range(len(files))],
        "age_kind": "estimated",
    }
    return SampleTable.from_columns(columns)


WORKERS = {
    "estimate": _worker_estimate,
    "prepare": _worker_prepare,
    "two-pass-store": _worker_two_pass_store,
    "PIL loop": _worker_pil_loop,
    "chip store": _worker_chip_store,
}


def _in_own_process(name: str, job: dict[str, Any]) -> Run:
    command = [sys.executable, __file__, "--worker", name]
    done = subprocess.run(
        command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True
    )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _print(runs: dict[str, list[Run]], base: str, *, cpu: bool) -> None:
    for name, measured in runs.items():
        pairs = list(zip(measured, runs[base], strict=True))
        print(
            f"  {name:12} {_spread([run.rate for run in measured])}"
            f"   x {_spread([mine.rate / other.rate for mine, other in pairs], digits=2)}"
        )
        if cpu:
            print(
                f"  {'':12} CPU ms each {_spread([1000 * run.cpu for run in measured], digits=2)}"
                f"   x {_spread([other.cpu / mine.cpu for mine, other in pairs], digits=2)}"
            )


def _spread(values: list[float], digits: int = 1) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _options() -> argparse.Namespace:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(asdict(WORKERS[sys.argv[2]](json.load(sys.stdin)))))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, run, photos in (("prepare", _prepare, 400), ("input", _input, 600)):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.add_argument("--photos", type=int, default=photos)
        command.add_argument("--rounds", type=int, default=5)
        command.set_defaults(run=run)
        if name == "input":
            command.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
