"""What `agelens bulk` costs, and what it loses when things die.

    python benchmarks/bulk.py speed FOLDER [--rounds 3]     beside agelens estimate, in turns
    python benchmarks/bulk.py growth FOLDER [--photos 1000 10000 100000]
    python benchmarks/bulk.py kills FOLDER [--kills 20]     kill -9 of the driver, same result
    python benchmarks/bulk.py evaluate [--rows 10000000]    of a bulk result, with its peak memory

FOLDER holds photos, of which as many as wanted are taken, again and again where there are fewer.
`speed` takes 1,000 (or --photos) and leaves out what starting takes: it is measured by a run over
two photos. A worker has two threads, as agelens estimate has on two cores. `growth` adds the peak
memory of the driver and of the largest worker. Times are of this machine at that hour.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from agelens.imaging.sources import PHOTO_SUFFIXES

AGELENS = [sys.executable, "-m", "agelens"]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        {"speed": speed, "growth": growth, "kills": kills, "evaluate": evaluate}[options.task](
            options, Path(folder)
        )


def speed(options: argparse.Namespace, folder: Path) -> None:
    """Photos a second of both commands on the same list, in turns, starting left out."""
    few, many = (_listed(options.folder, count, folder) for count in (2, options.photos[0]))
    print(f"{options.photos[0]:,} photos of {options.folder.name}, seconds without starting")
    for turn in range(options.rounds):
        took = {
            name: _seconds(_command(name, many, folder)) - _seconds(_command(name, few, folder))
            for name in ("estimate", "bulk")
        }
        rates = {name: options.photos[0] / seconds for name, seconds in took.items()}
        ratio = rates["bulk"] / rates["estimate"]
        words = ", ".join(f"{name} {rate:.1f} photos a second" for name, rate in rates.items())
        print(f"  turn {turn + 1}: {words}; bulk is {ratio:.2f} of estimate", flush=True)


def growth(options: argparse.Namespace, folder: Path) -> None:
    """Seconds and memory of runs of more and more photos."""
    print("photos, seconds, of which starting (two photos), MB of driver, MB of largest worker")
    starting = _seconds(_command("bulk", _listed(options.folder, 2, folder), folder))
    for count in options.photos:
        command = _command("bulk", _listed(options.folder, count, folder), folder)
        began = time.monotonic()
        driver, worker = _peaks(command)
        seconds = time.monotonic() - began
        rate = count / (seconds - starting)
        print(f"  {count:,} {seconds:.0f} {starting:.0f} {driver:.0f} {worker:.0f}; {rate:.1f}/s")


def kills(options: argparse.Namespace, folder: Path) -> None:
    """Kill the driver again and again; what comes out in the end is what an unbroken run gives."""
    chance = random.Random(0)
    many = _listed(options.folder, options.photos[0], folder)
    whole, broken = folder / "whole", folder / "broken"
    _seconds([*AGELENS, "bulk", str(many), "-o", str(whole), "--shard-rows", "8", "-q"])
    command = [*AGELENS, "bulk", str(many), "-o", str(broken), "--shard-rows", "8", "-q"]
    for number in range(options.kills):
        driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait = chance.uniform(0.5, 30)
        time.sleep(wait)
        driver.kill()
        driver.wait()
        done = len(list(broken.glob("shard-*")))
        print(f"  kill {number + 1} after {wait:.1f} s: {done} shards are there", flush=True)
    _seconds(command)
    rows = [pyarrow.dataset.dataset(one).to_table() for one in (broken, whole)]
    same = rows[0].replace_schema_metadata().equals(rows[1].replace_schema_metadata())
    print(f"{rows[0].num_rows:,} rows, {'the same' if same else 'NOT the same'} in the same order")


def evaluate(options: argparse.Namespace, folder: Path) -> None:
    """Seconds and peak memory of `agelens evaluate` on a made-up bulk result."""
    rows = options.rows
    _write_result(rows, folder / "made")
    command = ["evaluate", str(folder / "made"), "-o", str(folder / "page"), "--age-kind", "real"]
    command += ["--draws", str(options.draws)]
    began = time.monotonic()
    peak, _ = _peaks([*AGELENS, *command])
    print(f"{rows:,} rows: {time.monotonic() - began:.0f} s, {peak / 1000:.1f} GB")


def _write_result(rows: int, folder: Path) -> None:
    """A bulk result of `rows` photos of one face each, with ages and subjects beside them."""
    from agelens.inference.result_files import arrow_schema, result_columns

    folder.mkdir()
    chance = np.random.default_rng(0)
    at_once = 100_000
    further = {"age_years": pa.float32(), "subject": pa.string(), "input_gender": pa.string()}
    schema = arrow_schema(result_columns())
    for name, kind in further.items():
        schema = schema.append(pa.field(name, kind))
    for number, start in enumerate(range(0, rows, at_once)):
        count = min(at_once, rows - start)
        age = chance.integers(0, 90, count)
        numbers = np.arange(start, start + count)
        columns = {
            "photo": [f"photos/{one:09d}.jpg" for one in numbers],
            "status": ["ok"] * count,
            "estimate_years": np.maximum(age + chance.normal(0, 6, count), 0).round(2),
            "age_years": age.astype(np.float32),
            "subject": [f"person-{one // 10}" for one in numbers],
            "input_gender": np.where(numbers % 2, "female", "male"),
            "interval_level": np.full(count, 0.9),
            "model": ["made-up"] * count,
        }
        columns |= {f"box_{side}": chance.uniform(0, 500, count) for side in ("x1", "y1")}
        columns |= {f"box_{side}": columns[f"box_{side[0]}1"] + 100 for side in ("x2", "y2")}
        for name in ("inter_eye_px", "sharpness", "exposure", "roll_degrees", "visible_share"):
            columns[name] = chance.uniform(0, 1, count)
        columns["low_years"] = np.maximum(columns["estimate_years"] - 10, 0)
        columns["high_years"] = columns["estimate_years"] + 10
        arrays = [
            pa.array(columns[one.name], one.type)
            if one.name in columns
            else pa.nulls(count, one.type)
            for one in schema
        ]
        pq.write_table(pa.table(arrays, schema=schema), folder / f"shard-{number:08d}.parquet")
    manifest = {"format": "agelens-bulk/1", "columns": {}}
    manifest["columns"] = {"gender": "input_gender", "age_years": "age_years", "subject": "subject"}
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    (folder / "_SUCCESS").touch()


def _listed(source: Path, count: int, folder: Path) -> Path:
    files = [str(one) for one in sorted(source.iterdir()) if one.suffix.lower() in PHOTO_SUFFIXES]
    path = folder / f"{count}.txt"
    path.write_text("\n".join(files[number % len(files)] for number in range(count)))
    return path


def _command(name: str, listed: Path, folder: Path) -> list[str]:
    out = folder / f"{name}-out"
    shutil.rmtree(out, ignore_errors=True)
    if name == "bulk":
        return [*AGELENS, "bulk", str(listed), "-o", str(out), "-q"]
    file = f"{out}.parquet"
    words = f"{sys.executable} -m agelens estimate - -q --overwrite -o {file} < {listed}"
    return ["bash", "-c", words]


def _seconds(command: list[str]) -> float:
    began = time.monotonic()
    ran = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if ran.returncode not in (0, 3):
        raise RuntimeError(ran.stderr.decode())
    return time.monotonic() - began


def _peaks(command: list[str]) -> tuple[float, float]:
    """The peak memory in MB of a command's process, and of the largest worker that Ray begins."""
    ran = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    own = psutil.Process(ran.pid)
    driver = worker = 0.0
    while ran.poll() is None:
        try:
            driver = max(driver, own.memory_info().rss / 1e6)
            for one in own.children(recursive=True):
                if "MapWorker" in one.name() or "MapWorker" in " ".join(one.cmdline()):
                    worker = max(worker, one.memory_info().rss / 1e6)
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.2)
    if ran.returncode not in (0, 3):
        raise RuntimeError(f"exit status {ran.returncode}")
    return driver, worker


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=["speed", "growth", "kills", "evaluate"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--photos", type=int, nargs="+", default=[1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
