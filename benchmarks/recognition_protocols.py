"""Recognition protocols on blocks of similarities, beside the loop that published code runs.

    python benchmarks/recognition_protocols.py [--pictures 1002] [--identities 10000]

The embeddings are synthetic: people around a centre of their own. `megaface` is FG-NET's
MegaFace-style protocol, as a loop over the person's pictures in the gallery and its probes that
compares each probe with that picture and with all distractors, as the original test code does;
then by agelens, whose figures must be the same. `probe-gallery` searches one probe of each of
10,000 people among as many pictures in the gallery. Each runs in a process of its own.
Seconds are the clock's and the processor's: on a busy machine the two differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.protocols import Resampling, megaface_style, probe_gallery
from agelens.recognition.protocols.identification import pair_ranks
from agelens.recognition.protocols.rates import GenuinePairs
from agelens.recognition.protocols.searches import MOST
from peak_memory import peak_mb

DIMENSION = 512
NO_INTERVALS = Resampling(draws=0)


def main() -> None:
    options = _options()
    for task in TASKS:
        command = [sys.executable, __file__, "--task", task]
        command += ["--pictures", str(options.pictures), "--identities", str(options.identities)]
        subprocess.run(command, check=True)


def plain_loop(vectors: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Rank-1 to rank-10: each picture in the gallery in turn, each of its person's a probe."""
    hits, trials = np.zeros(MOST), 0
    for picture in range(len(vectors)):
        distractors = vectors[people != people[picture]]
        gallery = np.concatenate([vectors[picture : picture + 1], distractors])
        for probe in np.flatnonzero(people == people[picture]):
            if probe != picture:
                similar = gallery @ vectors[probe]
                rank = int(np.flatnonzero(np.argsort(-similar) == 0)[0])
                hits[rank:] += 1
                trials += 1
    return hits / trials


def megaface(options: argparse.Namespace) -> None:
    vectors, people = _pictures(options.pictures, people=82)
    loop, by_loop = _timed(lambda: plain_loop(vectors, people))
    mates = GenuinePairs(people, people, itself=True)
    pair_ranks(vectors, mates, most=MOST)  # NumPy starts its threads
    blocks, ranks = _best(lambda: pair_ranks(vectors, mates, most=MOST))
    found = np.array([(ranks <= rank).mean() for rank in range(1, MOST + 1)])
    table = _table(vectors, people, "pictures")
    whole, result = _timed(lambda: megaface_style(table, resampling=NO_INTERVALS))
    with_intervals, _ = _timed(lambda: megaface_style(table))
    same = np.allclose(found, by_loop, atol=1e-12) and np.allclose(
        [rate.value for rate in result.rates.values()], by_loop, atol=1e-12
    )
    print(
        f"MegaFace-style, {len(vectors):,} pictures of 82 people, {len(ranks):,} trials: loop "
        f"{loop}, blocks {blocks}: {loop.processor / blocks.processor:.0f} times faster; same "
        f"figures: {same} (rank-1 {found[0]:.4f}, rank-10 {found[-1]:.4f}); with table and counts "
        f"{whole}, with 1,000 bootstrap draws {with_intervals}, peak {peak_mb():.0f} MB"
    )


def gallery(options: argparse.Namespace) -> None:
    people = np.arange(options.identities)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(people), DIMENSION)).astype(np.float32)
    probes, others = (_table(_unit(centres, rng), people, name) for name in ("probes", "gallery"))
    before = peak_mb()
    seconds, result = _timed(lambda: probe_gallery(probes, others, resampling=NO_INTERVALS))
    print(
        f"probe-gallery, {len(people):,} people, {DIMENSION} dimensions: {seconds}, rank-1 "
        f"{result.rates[1].value:.4f}, peak {peak_mb():.0f} MB, of which {before:.0f} MB before "
        f"it; all similarities at once would take {4 * len(people) ** 2 / 2**20:.0f} MB"
    )


TASKS = {"megaface": megaface, "probe-gallery": gallery}


class _Seconds:
    def __init__(self, clock: float, processor: float) -> None:
        self.clock, self.processor = clock, processor

    def __str__(self) -> str:
        return f"{self.clock:.3f} s (processor {self.processor:.3f} s)"


def _timed(work: Callable[[], object]) -> tuple[_Seconds, object]:
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return _Seconds(time.perf_counter() - clock, time.process_time() - processor), found


def _best(work: Callable[[], object], times: int = 5) -> tuple[_Seconds, object]:
    return min((_timed(work) for _ in range(times)), key=lambda pair: pair[0].processor)


def _pictures(count: int, people: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    who = np.sort(rng.permutation(np.arange(count) % people))
    centres = rng.normal(size=(people, DIMENSION)).astype(np.float32)
    return _unit(centres[who], rng), who


def _unit(centres: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    vectors = centres + 3 * rng.normal(size=centres.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _table(vectors: np.ndarray, people: np.ndarray, name: str) -> EmbeddingTable:
    paths = [f"{name}/{row:06}.jpg" for row in range(len(vectors))]
    frame = pd.DataFrame({"sample_id": paths, "path": paths, "subject": [f"s{p}" for p in people]})
    model = EmbeddingModel("synthetic", "1", "0" * 64, DIMENSION)
    ages = np.random.default_rng(1).integers(0, 70, len(vectors)).astype(float)
    return EmbeddingTable(
        frame.assign(dataset="synthetic", age_years=ages, status="ok"), vectors, model
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1002)
    parser.add_argument("--identities", type=int, default=10_000)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        TASKS[options.task](options)
        sys.exit()
    return options


if __name__ == "__main__":
    main()
