"""Whether purified embeddings find people across decades better, on FG-NET, never trained on.

    python benchmarks/purification.py ../shared/data --work WORK

The commands that a user would run: LFW and FG-NET are read, LFW gets model-made ages, both are
embedded (`identity embed`), each purifier is trained on LFW's people with five seeds (`identity
purify`), and FG-NET is tested before and after. Epochs and weights are chosen on validation people
of LFW. What WORK holds already is not done again, so a stopped run goes on.

Rank-1 is leave-one-out; `pairs` is the MegaFace-style rank-1 of all two pictures of a person at
least ten years apart. Each gain is the mean over seeds, its 95 % interval resamples people with all
seeds. The probe's error is of a ridge regression that tells FG-NET's true ages.

    --seeds N               instead of five
    --purifiers iefp dal    instead of all
    --lfw E --fgnet E       tables of embeddings that are there already
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from age_probe import AgeProbe, age_probe
from agelens.cli import main as agelens
from agelens.evaluation.bootstrap.groupings import percentile_interval
from agelens.recognition.embedding_purifier.purifiers import PURIFIERS
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.protocols import Resampling, Trials, leave_one_out, megaface_style
from agelens.recognition.protocols.identification import GAP_NAMES, by_gap
from agelens.recognition.purifier import CARD, Purifier

DRAWS = 2000
FAR_YEARS = 10
NO_DRAWS = Resampling(draws=0)


def main() -> None:
    options = _options()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    lfw = options.lfw or _embedded(options.data / "lfw", "lfw", work, label=True)
    fgnet = options.fgnet or _embedded(options.data / "fgnet", "fgnet", work, label=False)
    raw = read_embeddings(fgnet).with_embedding()
    before, before_far = leave_one_out(raw, resampling=NO_DRAWS), _far(raw)
    print(f"{len(before.trials):,} photos of FG-NET, {raw.model}")
    print(f"rank-1 raw {_percent(_hits(before.trials).mean())}; {_by_gap(before.trials)}")
    print(f"pairs {FAR_YEARS} years apart: raw {_percent(_hits(before_far).mean())}")
    print(f"probe: {_probe(age_probe(raw))}\n")
    for name in options.purifiers:
        folders = [_purifier(lfw, name, seed, work) for seed in range(options.seeds)]
        tables = [Purifier.open(folder).purify(raw) for folder in folders]
        after = [leave_one_out(table, resampling=NO_DRAWS).trials for table in tables]
        _tell(name, folders)
        print(f"  rank-1 {_gain(before.trials, after)}")
        for band in GAP_NAMES:
            inside = _inside(before.trials, band)
            if inside.any():
                print(f"    {band} years, {_gain(before.trials, after, inside)}")
        print(f"  pairs  {_gain(before_far, [_far(table) for table in tables])}")
        for table in tables[:1]:
            print(f"  probe of seed 0: {_probe(age_probe(table))}", flush=True)
        errors = [age_probe(table, resampling=NO_DRAWS).mae_years for table in tables]
        print(f"  probe, mean over seeds: {np.mean(errors):.2f} years\n", flush=True)


def _embedded(root: Path, dataset: str, work: Path, *, label: bool) -> Path:
    table, out = work / f"{dataset}-table.parquet", work / f"{dataset}.parquet"
    _unless(table, lambda path: ("data", "read", dataset, str(root), "-o", path))
    if label:
        aged = work / f"{dataset}-aged.parquet"
        plain = str(table)
        _unless(
            aged,
            lambda path: (
                "data",
                "label",
                "--model",
                "cc0-resnet10",
                plain,
                "--root",
                str(root),
                "-o",
                path,
            ),
        )
        table = aged
    chosen = str(table)
    _unless(out, lambda path: ("identity", "embed", chosen, "--root", str(root), "-o", path))
    return out


def _purifier(lfw: Path, name: str, seed: int, work: Path) -> Path:
    folder = work / f"{name}-{seed}"
    if not (folder / CARD).exists():
        asked = (str(lfw), "--purifier", name, "--seed", str(seed))
        _run(("identity", "purify", *asked, "-o", str(folder)))
    return folder


def _unless(path: Path, command: Callable[[str], tuple[str, ...]]) -> None:
    if not path.exists():
        _run(command(str(path)))


def _run(command: tuple[str, ...]) -> None:
    print("agelens", *command, flush=True)
    status = agelens(command)
    if status:
        raise SystemExit(status)


def _far(table: EmbeddingTable) -> Trials:
    trials = megaface_style(table, resampling=NO_DRAWS).trials
    far = trials.gap_years >= FAR_YEARS
    return Trials(trials.probe[far], trials.rank[far], trials.person[far], trials.gap_years[far])


def _hits(trials: Trials) -> np.ndarray:
    return (trials.rank == 1).astype(np.float64)


def _inside(trials: Trials, band: str) -> np.ndarray:
    grouping = by_gap(trials.gap_years)
    return np.asarray(grouping.codes == GAP_NAMES.index(band))


def _by_gap(trials: Trials) -> str:
    bands = [(band, _hits(trials)[_inside(trials, band)]) for band in GAP_NAMES]
    return ", ".join(
        f"{band} years {_percent(h.mean())} of {len(h)}" for band, h in bands if len(h)
    )


def _gain(before: Trials, after: list[Trials], rows: np.ndarray | None = None) -> str:
    rows = np.ones(len(before), dtype=bool) if rows is None else rows
    hits = np.stack([_hits(trials)[rows] for trials in after])
    gain = hits.mean(axis=0) - _hits(before)[rows]
    _, person = np.unique(before.person[rows], return_inverse=True)
    sums, counts = np.bincount(person, gain), np.bincount(person)
    drawn = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    low, high = percentile_interval(sums[drawn].sum(1) / counts[drawn].sum(1), 0.95)
    seeds = ", ".join(_percent(one) for one in hits.mean(axis=1))
    return (
        f"{_percent(hits.mean())} ({seeds}), gain {100 * gain.mean():+.2f} "
        f"[{100 * low:+.2f}, {100 * high:+.2f}] points over {len(gain):,}"
    )


def _probe(probe: AgeProbe) -> str:
    return (
        f"MAE {probe.mae_years:.2f} years [{probe.low_years:.2f}, {probe.high_years:.2f}], "
        f"{probe.constant_mae_years:.2f} for the median age"
    )


def _tell(name: str, folders: list[Path]) -> None:
    cards = [
        json.loads((folder / CARD).read_text(encoding="utf-8"))["chosen"] for folder in folders
    ]
    raw, found = (
        np.mean([card[key] for card in cards]) for key in ("across_age_raw", "across_age")
    )
    epochs = ", ".join(f"{card['weight']:g} at epoch {card['epoch']}" for card in cards)
    print(f"{name}: weights {epochs}; validation {_percent(raw)} -> {_percent(found)}")


def _percent(share: float) -> str:
    return f"{100 * float(share):.2f} %"


def _options(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with lfw and fgnet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--purifiers", nargs="+", default=list(PURIFIERS), choices=PURIFIERS)
    parser.add_argument("--lfw", type=Path)
    parser.add_argument("--fgnet", type=Path)
    return parser.parse_args(None if arguments is None else list(arguments))


if __name__ == "__main__":
    main()
