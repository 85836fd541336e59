"""Whether calibrated intervals and age gates keep their promise, by drawing the data many times.

    python benchmarks/promises.py [--draws 2000] [--people 600]

Intervals: people of two genders and three origins, whose estimates are off by different amounts,
calibrate 90 % intervals; how often these hold is then counted on 20,000 other people, in all and
in each group. Kept is: the mean over the draws is at least the level, of every held group, and in
at most 5 % of the draws coverage lies more than 5 points below. Without --hold that is promised of
everybody together only.

Gates: people of 13 to 40 choose a challenge age for at most 5 % false accepts with 95 % confidence;
how many of those under 18 pass it is known from how the people are drawn. Kept is: the
limit is exceeded in at most 5 % of the draws.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import norm

from agelens.evaluation.age_gates import NEAR_YEARS, lowest_challenge
from agelens.evaluation.conformal import Labelled, Way, bin_edges, fit_corrections

LEVEL = 0.9
SPREADS = {"A": 4.0, "B": 6.0, "C": 9.0}
SHARES = (0.55, 0.3, 0.15)
LEGAL, LIMIT, CONFIDENCE, OFF = 18.0, 0.05, 0.95, 3.0


def main() -> None:
    options = _options()
    for hold in (False, True):
        _intervals(options, hold=hold)
    for youngest in (0.0, LEGAL - NEAR_YEARS):
        _gates(options, youngest)


def _intervals(options: argparse.Namespace, *, hold: bool) -> None:
    others, origin = _people(np.random.default_rng(options.seed), 20_000, hold=hold)
    groups = {"everybody": np.ones(len(origin), dtype=bool)}
    groups |= {name: origin == name for name in SPREADS}
    found: dict[str, list[float]] = {name: [] for name in groups}
    way = Way(bins=5)
    for draw in range(options.draws):
        people, _ = _people(np.random.default_rng([options.seed, draw]), options.people, hold=hold)
        fitted = fit_corrections(people, way, bin_edges(people, way))
        low, high = fitted.apply(others.estimate_years, others.low_years, others.high_years)
        inside = (low <= others.age_years) & (others.age_years <= high)
        for name, rows in groups.items():
            found[name].append(float(inside[rows].mean()))
    print(f"90 % intervals, {options.people} people, {options.draws} draws, held by group: {hold}")
    for name, shares in found.items():
        unlucky = np.mean(np.array(shares) < LEVEL - 0.05)
        print(f"  {name}: mean {100 * np.mean(shares):.2f} %, below 85 % in {100 * unlucky:.1f} %")


def _people(random: np.random.Generator, count: int, *, hold: bool) -> tuple[Labelled, np.ndarray]:
    origin = random.choice(list(SPREADS), count, p=SHARES)
    spread = np.array([SPREADS[name] for name in origin])
    age = random.uniform(1, 90, count)
    estimate = np.clip(age + random.normal(0, 1, count) * spread * (0.5 + age / 90), 0, 110)
    held = np.stack([origin == name for name in SPREADS], axis=1) if hold else None
    people = Labelled(age, estimate, estimate, estimate, LEVEL, np.arange(count), None, None, held)
    return people, origin


def _gates(options: argparse.Namespace, youngest: float) -> None:
    exceeded, challenges = 0, []
    years = np.arange(1, 41)
    young = years[(years + 0.5 < LEGAL) & (years + 0.5 >= youngest)] + 0.5
    for draw in range(options.draws):
        random = np.random.default_rng([options.seed, 1, draw])
        age = random.choice(years, 4 * options.people) + 0.5
        minors = age[(age < LEGAL) & (age >= youngest)]
        estimates = np.maximum(minors + random.normal(0, OFF, len(minors)), 0)
        challenge = lowest_challenge(
            estimates,
            np.arange(len(minors)),
            legal_years=LEGAL,
            limit=LIMIT,
            level=2 * CONFIDENCE - 1,
        )
        if challenge is not None:
            challenges.append(challenge)
            exceeded += bool(norm.sf((challenge - young) / OFF).mean() > LIMIT)
    print(
        f"gate at {LEGAL:g}, at most {100 * LIMIT:g} %, counted from {youngest:g}: "
        f"{len(challenges)} of {options.draws} draws found one, median {np.median(challenges):g}; "
        f"the limit was exceeded in {100 * exceeded / max(len(challenges), 1):.1f} % "
        f"(promised: at most {100 * (1 - CONFIDENCE):.0f} %)"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
