"""What `agelens bulk` costs, and what it loses when things die.

    python benchmarks/bulk.py speed FOLDER [--rounds 3]     beside agelens estimate, in turns
    python benchmarks/bulk.py growth FOLDER [--photos 1000 10000 100000]
    python benchmarks/bulk.py kills FOLDER [--kills 20]     kill -9 of the driver, same result
    python benchmarks/bulk.py evaluate [--rows 10000000]    of a bulk result, with its peak memory

FOLDER holds photos, of which as many as wanted are taken, again and again where there are fewer.
With `--work DIR` every point that was measured stays there, and the same command goes on with the
next one. Seconds are given twice: of the clock, which others on the machine lengthen, and of the
processor, summed over all processes of the command. What starting takes is a run over two photos.

`speed` takes 1,000 (or --photos) and leaves starting out: of agelens estimate, a run over two
photos; of bulk, which starts for longer than that varies, all up to the first of five shards. What
the worker takes of the processor stands apart from Ray's own processes, whose cost goes by the
clock and not by photos. A worker has two threads, as agelens estimate has on two cores. `growth`
adds the peak memory of the driver and of the largest worker.
`kills` ends the driver after a drawn part of the time that an unbroken run takes; every other time
after a drawn moment (--work-seconds) of the time in which photos are worked on.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from agelens.imaging.sources import PHOTO_SUFFIXES

AGELENS = [sys.executable, "-m", "agelens"]
_SHARDS = 5  # of a run whose speed is measured


def main() -> None:
    options = _options()
    tasks = {"speed": speed, "growth": growth, "kills": kills, "evaluate": evaluate}
    with tempfile.TemporaryDirectory() as folder:
        options.work = work = (options.work or Path(folder)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        tasks[options.task](options, work)


@dataclass
class Cost:
    """Seconds of the clock and of the processor, MB of the command and of Ray's largest worker.

    `steady_` is what the photos between the first and the last shard of a bulk run took.
    """

    clock: float
    processor: float
    driver: float
    worker: float
    steady_photos: int = 0
    steady_clock: float = 0.0
    steady_processor: float = 0.0
    steady_worker: float = 0.0


class Points:
    """What was measured before, by its name; a line of JSON each."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.known: dict[str, Any] = dict(json.loads(line) for line in lines)

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """What is known of `name`, measured now if nothing is."""
        if name not in self.known:
            self.known[name] = measure()
            with self._file.open("a") as file:
                file.write(json.dumps([name, self.known[name]]) + "\n")
        return self.known[name]


def speed(options: argparse.Namespace, folder: Path) -> None:
    """Photos a second of both commands on the same list, in turns, starting left out."""
    points, count = Points(folder / "speed.jsonl"), options.photos[0]
    print(f"{count:,} photos of {options.folder.name}, starting left out")
    turns = []
    for turn in range(options.rounds):
        for name in ("estimate", "bulk") if turn % 2 else ("bulk", "estimate"):
            for photos in (2, count) if name == "estimate" else (count,):
                points.get(f"{turn} {name} {photos}", partial(_run, options, name, photos))
        few, many, bulk = (
            Cost(**points.known[f"{turn} {name}"])
            for name in ("estimate 2", f"estimate {count}", f"bulk {count}")
        )
        taken = np.array([many.clock - few.clock, many.processor - few.processor]) / (count - 2)
        steady = np.array([bulk.steady_clock, bulk.steady_processor]) / bulk.steady_photos
        worker = bulk.steady_worker / bulk.steady_photos
        ray = (bulk.steady_processor - bulk.steady_worker) / bulk.steady_clock
        turns.append([*(taken / steady), taken[1] / worker, ray])
        print(
            f"  turn {turn + 1}: estimate {1 / taken[0]:.1f}/s, {1000 * taken[1]:.1f} ms of the "
            f"processor a photo; bulk {1 / steady[0]:.1f}/s, {1000 * steady[1]:.1f} ms, of which "
            f"the worker {1000 * worker:.1f}; Ray's own processes {ray:.3f} cores",
            flush=True,
        )
    told = "{:.2f} by the clock, {:.2f} by processor, its worker alone {:.2f}; Ray {:.3f} cores"
    print(f"median: bulk is {told.format(*np.median(turns, 0))}")


def growth(options: argparse.Namespace, folder: Path) -> None:
    """Seconds and memory of runs of more and more photos."""
    points = Points(folder / "growth.jsonl")
    starting = Cost(**points.get("2", partial(_run, options, "bulk", 2)))
    print(f"starting: {starting.clock:.0f} s, of processor {starting.processor:.1f} s")
    for count in options.photos:
        cost = Cost(**points.get(str(count), partial(_run, options, "bulk", count)))
        each = 1000 * (cost.processor - starting.processor) / (count - 2)
        print(
            f"  {count:,}: {cost.clock:.0f} s, {count / (cost.clock - starting.clock):.1f}/s; of "
            f"processor {cost.processor:.0f} s, {each:.2f} ms a photo; "
            f"driver {cost.driver:.0f} MB, largest worker {cost.worker:.0f} MB",
            flush=True,
        )


def kills(options: argparse.Namespace, folder: Path) -> None:
    """Kill the driver again and again; what comes out in the end is what an unbroken run gives."""
    points = Points(folder / "kills.jsonl")
    many = _listed(options.folder, options.photos[0], folder)
    words = [*AGELENS, "bulk", str(many), "--shard-rows", "8", "-q", *options.words.split(), "-o"]
    whole = points.get("whole", lambda: asdict(_cost([*words, str(folder / "whole")])))["clock"]
    broken, killed = 0, 0
    while killed < options.kills:
        out = folder / f"broken-{broken}"

        def kill(out: Path = out, number: int = killed) -> dict[str, Any]:
            working = bool(number % 2)
            wait = random.Random(number).uniform(0, options.work_seconds if working else whole)
            before = len(list(out.glob("shard-*")))
            shutil.rmtree(out / "_attempts", ignore_errors=True)  # as the next run does at once
            with (folder / "stderr.txt").open("w") as told:
                driver = subprocess.Popen([*words, str(out)], stderr=told)
            while working and driver.poll() is None and not any(out.glob("_attempts/*")):
                time.sleep(0.05)
            try:
                ended = driver.wait(wait)
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                ended = None
            if ended not in (None, 0, 3):
                raise RuntimeError((folder / "stderr.txt").read_text())  # the same command goes on
            done = len(list(out.glob("shard-*")))
            known = {"ended": ended, "wait": wait, "before": before, "done": done}
            return known | {"working": working}

        known = points.get(f"run {broken} {killed}", kill)
        if known["ended"] is None:
            killed += 1
            told = f"{known['before']} shards were there, {known['done']} are"
            when = " of work" if known["working"] else ""
            print(f"  kill {killed} after {known['wait']:.1f} s{when}: {told}", flush=True)
        else:
            _check_same(out, folder / "whole")
            broken += 1
    _cost([*words, str(folder / f"broken-{broken}")])
    _check_same(folder / f"broken-{broken}", folder / "whole")


def _check_same(broken: Path, whole: Path) -> None:
    rows = [
        pyarrow.dataset.dataset(one).to_table().replace_schema_metadata() for one in (broken, whole)
    ]
    same = "the same" if rows[0].equals(rows[1]) else "NOT the same"
    print(f"  ended: {rows[0].num_rows:,} rows, {same} in the same order", flush=True)


def evaluate(options: argparse.Namespace, folder: Path) -> None:
    """Seconds and peak memory of `agelens evaluate` on a made-up bulk result."""
    rows = options.rows
    if not (folder / "made" / "_SUCCESS").exists():
        shutil.rmtree(folder / "made", ignore_errors=True)
        _write_result(rows, folder / "made")
    shutil.rmtree(folder / "page", ignore_errors=True)
    command = ["evaluate", str(folder / "made"), "-o", str(folder / "page"), "--age-kind", "real"]
    command += ["--draws", str(options.draws)]
    cost = _cost([*AGELENS, *command])
    print(
        f"{rows:,} rows: {cost.clock:.0f} s ({cost.processor:.0f} s), {cost.driver / 1000:.2f} GB"
    )


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


def _run(options: argparse.Namespace, name: str, count: int) -> dict[str, float]:
    listed, out = _listed(options.folder, count, folder := options.work), folder / f"{name}-out"
    shutil.rmtree(out, ignore_errors=True)
    words = options.words.split()
    if name == "bulk":
        if options.task == "speed":
            words += ["--shard-rows", str(count // _SHARDS)]
        command = [*AGELENS, "bulk", str(listed), "-o", str(out), "-q", *words]
        return asdict(_cost(command, shards=out, rows=count // _SHARDS))
    command = [*AGELENS, "estimate", "-", "-q", "--overwrite", "-o", f"{out}.parquet", *words]
    return asdict(_cost(command, listed))


def _cost(
    command: list[str], listed: Path | None = None, *, shards: Path | None = None, rows: int = 0
) -> Cost:
    """What a command takes with all processes that it begins; its input is `listed`.

    Where `shards` is given, what it took from the first of them, of `rows` photos each, to the
    last is counted apart.
    """
    began = time.monotonic()
    seconds: dict[tuple[int, float], float] = {}
    workers: set[tuple[int, float]] = set()
    driver = worker = 0.0
    marks: list[tuple[int, float, float, float]] = []
    with Path(listed or os.devnull).open() as stdin, tempfile.TemporaryFile() as told:
        ran = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=told)
        own = psutil.Process(ran.pid)
        while ran.poll() is None:
            with suppress(psutil.NoSuchProcess):
                driver = max(driver, own.memory_info().rss / 1e6)
                for one in (own, *own.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        times, key = one.cpu_times(), (one.pid, one.create_time())
                        seconds[key] = times.user + times.system
                        if "MapWorker" in " ".join(one.cmdline()):
                            workers.add(key)
                            worker = max(worker, one.memory_info().rss / 1e6)
            done = 0 if shards is None else len(list(shards.glob("shard-*")))
            if done > (marks[-1][0] if marks else 0):
                of_workers = sum(seconds[one] for one in workers)
                marks.append((done, time.monotonic(), sum(seconds.values()), of_workers))
            time.sleep(0.25)
        told.seek(0)
        if ran.returncode not in (0, 3):
            raise RuntimeError(told.read().decode())
    cost = Cost(time.monotonic() - began, sum(seconds.values()), driver, worker)
    if len(marks) > 1:
        done, clock, processor, of_workers = np.subtract(marks[-1], marks[0])
        cost = replace(
            cost,
            steady_photos=int(done) * rows,
            steady_clock=float(clock),
            steady_processor=float(processor),
            steady_worker=float(of_workers),
        )
    return cost


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=["speed", "growth", "kills", "evaluate"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--photos", type=int, nargs="+", default=[1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--work-seconds", type=float, default=5.0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--work", type=Path, help="a folder that keeps every measured point")
    parser.add_argument(
        "--words", default="", help="options of the commands, as --words='--model M'"
    )
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
