"""What the whole step of training costs, beside a loop of the kind research code has.

    python benchmarks/training.py FOLDER [--photos 600] [--rounds 5] [--backbone dlib-resnet10]
                                  [--size 64] [--batch 64] [--workers 1] [--channels-last]

FOLDER holds pictures, such as UTKFace's. Both contenders train the same network from the
same start with the same optimiser, loss, batch size and augmentation (that of the
label-distribution system), on as many cores and with as many workers. The loop opens, turns,
crops and augments each picture in PIL and torchvision, in the processes of a `DataLoader`;
ours reads a chip store that was prepared once, in threads. Each measurement runs in a
process of its own, the contenders take turns, and ratios are taken turn by turn, so that a
machine whose speed drifts does not favour either. `model` is the share of the time of
training, validation apart, that forward, backward and step of the optimiser take.
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

SUFFIXES = (".jpg", ".jpeg", ".png")
LR = 1e-4
AGES = "0-100"


@dataclass(frozen=True)
class Run:
    """One measured run: images a second, and the share of the time in the model."""

    rate: float
    model_share: float


def main() -> None:
    options = _options()
    files = sorted(p.name for p in options.folder.iterdir() if p.suffix.lower() in SUFFIXES)
    # Spread over the folder, whose order is often by age.
    files = files[:: max(1, len(files) // options.photos)][: options.photos]
    with tempfile.TemporaryDirectory() as folder:
        job = {**vars(options), "folder": str(options.folder), "files": files, "scratch": folder}
        _in_own_process("store", job)
        runs: dict[str, list[Run]] = {"PIL loop": [], "agelens": []}
        for _ in range(options.rounds):
            for name, measured in runs.items():
                measured.append(_in_own_process(name, job))
    print(
        f"{len(files)} pictures of {options.folder.name}, {os.cpu_count()} cores, "
        f"{options.backbone} at {options.size} pixels, batches of {options.batch}, "
        f"{options.workers} workers{', channels last' * options.channels_last}"
    )
    print("images a second through the whole step: median (min to max); ratio turn by turn")
    for name, measured in runs.items():
        pairs = list(zip(measured, runs["PIL loop"], strict=True))
        print(
            f"  {name:9} {_spread([run.rate for run in measured], 1)}"
            f"   x {_spread([mine.rate / other.rate for mine, other in pairs], 2)}"
            f"   model {_spread([100 * run.model_share for run in measured], 0)} %"
        )


def _worker_store(job: dict[str, Any]) -> Run:
    """Both contenders' pictures: the chips, and for the loop the boxes in its table."""
    from agelens.data.store import prepare

    table = _table(job["files"])
    options = {"size": job["size"], "two_pass": True, "margin": 0.2}
    began = time.perf_counter()
    rows = prepare(table, Path(job["scratch"], "store"), root=job["folder"], **options).rows
    return Run(rows / (time.perf_counter() - began), 0.0)


def _worker_agelens(job: dict[str, Any]) -> Run:
    from agelens.data.age_data import AgeData
    from agelens.models.methods.dex import DEX
    from agelens.training.model_parts import BackboneChoice
    from agelens.training.optimizers import Adam, Constant
    from agelens.training.run_folder import RunFolder
    from agelens.training.run_options import RunOptions
    from agelens.training.training_loop import Training

    with tempfile.TemporaryDirectory() as folder:
        run = RunOptions(
            data=AgeData(
                str(Path(job["scratch"], "store")),
                split="column",
                preset="ldl",
                batch_size=job["batch"],
                workers=job["workers"],
                sampling="uniform",
                verify=False,
            ),
            method=DEX(AGES),
            backbone=BackboneChoice(job["backbone"], size=job["size"]),
            optimizer=Adam(LR),
            schedule=Constant(),
            channels_last=job["channels_last"],
            trainer={"max_epochs": 1 + job["epochs"], "accelerator": "cpu"},
        )
        training = Training(run, RunFolder(Path(folder, "run")), quiet=True)
        training.run_to_end()
        steps = len(run.data.train_dataloader()) * (1 + job["epochs"]) - 1  # the first is left out
    return Run(steps * job["batch"] / training.time.seconds, training.time.share)


def _worker_pil_loop(job: dict[str, Any]) -> Run:
    """As `benchmarks/data.py` has it, and a network behind it."""
    import torch
    from torch import nn
    from torch.nn import functional

    from agelens.models.backbones import build_backbone

    torch.manual_seed(0)
    backbone = build_backbone(job["backbone"], size=job["size"]).backbone.train()
    network = nn.Sequential(backbone, nn.Linear(backbone.features, 101))
    optimizer = torch.optim.Adam(network.parameters(), LR)
    images = in_model = total = 0.0
    loader = _loader(job)
    for epoch in range(1 + job["epochs"]):
        mark = time.perf_counter()
        for place, (chips, ages) in enumerate(loader):
            begun = time.perf_counter()
            loss = functional.cross_entropy(network(chips), ages)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # what such loops print
            now = time.perf_counter()
            if epoch or place:  # the first step pays for starting
                images, in_model = images + len(chips), in_model + now - begun
                total += now - mark
            mark = now
    return Run(images / total, in_model / total)


def _loader(job: dict[str, Any]) -> Any:
    """The label-distribution system's input: open, turn, crop and augment each item in PIL."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms
    from torchvision.transforms import functional

    from agelens.data.formats.ldl import ROTATED_BOX
    from agelens.data.store import ChipStore

    frame = ChipStore.open(Path(job["scratch"], "store")).table.frame
    frame = frame[frame["split"] == "train"]
    rows = frame[["path", "age_years", "roll_degrees", *ROTATED_BOX]].dropna().to_dict("records")
    # The same chances and strengths as the preset's; hue 40 degrees is 1/9 of the circle.
    colour = transforms.ColorJitter(hue=40 / 360, saturation=30 / 255, brightness=20 / 255)
    light = transforms.ColorJitter(brightness=0.2, contrast=0.2)
    flip = transforms.RandomHorizontalFlip(0.3)
    finish = transforms.Compose(
        [
            transforms.Resize((job["size"], job["size"])),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    class Faces(Dataset):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
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
            return finish(image), int(row["age_years"])

    workers = job["workers"]
    return DataLoader(
        Faces(),
        job["batch"],
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def _expanded(box: list[float], size_wh: tuple[int, int], expand: float) -> tuple[int, ...]:
    grow = [(box[2] - box[0]) * expand / 2, (box[3] - box[1]) * expand / 2]
    wide = [box[0] - grow[0], box[1] - grow[1], box[2] + grow[0], box[3] + grow[1]]
    return tuple(int(min(max(edge, 0), size_wh[i % 2])) for i, edge in enumerate(wide))


def _table(files: list[str]) -> Any:
    from agelens.tables import SampleTable

    # Only training is measured: a few samples are enough to validate and test on.
    parts = [
        "valid" if place % 40 == 7 else "test" if place % 40 == 27 else "train"
        for place in range(len(files))
    ]
    return SampleTable.from_columns(
        {
            "sample_id": files,
            "dataset": "benchmark",
            "path": files,
            "age_years": [float(place % 80) for place in range(len(files))],
            "age_kind": "estimated",
            "split": parts,
        }
    )


WORKERS = {"store": _worker_store, "agelens": _worker_agelens, "PIL loop": _worker_pil_loop}


def _in_own_process(name: str, job: dict[str, Any]) -> Run:
    command = [sys.executable, __file__, "--worker", name]
    done = subprocess.run(
        command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True
    )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _spread(values: list[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _options() -> argparse.Namespace:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(asdict(WORKERS[sys.argv[2]](json.load(sys.stdin)))))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbone", default="dlib-resnet10")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
