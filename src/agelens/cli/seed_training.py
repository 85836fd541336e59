"""Training configurations with several seeds, once: what is there already is taken."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from agelens.cli.training import train
from agelens.errors import UsageError
from agelens.training.configuration import config_text, parse_run, run_parser
from agelens.training.run_folder import RunFolder


def trained_runs(configs: Sequence[Path], seeds: int, runs: Path) -> list[Path]:
    """The folders of finished runs, one for each configuration and seed, below `runs`.

    Raises:
        UsageError: fewer than one seed, configurations of one name, or a folder that holds a
            run of another configuration.
        TrainingError: a run broke down.
    """
    if seeds < 1:
        raise UsageError(f"--seeds is a number from 1, got {seeds}")
    stems = [config.stem for config in configs]
    if len(set(stems)) < len(stems):
        raise UsageError(f"configurations of one name cannot be told apart: {', '.join(stems)}")
    return [_trained(config, seed, runs) for config in configs for seed in range(seeds)]


def _trained(config: Path, seed: int, runs: Path) -> Path:
    folder = RunFolder(runs / f"{config.stem}-seed{seed}")
    words = ["--config", str(config), "--seed", str(seed)]
    begun = folder.config.is_file()
    if begun:
        asked = config_text(parse_run(run_parser(), words))
        if folder.config.read_text(encoding="utf-8") != asked:
            raise UsageError(
                f"{folder.path} holds a run of another configuration than {config} has now: name "
                "another folder with --runs, or move the run away"
            )
    if folder.summary.is_file():
        return folder.path
    # What is printed is about training; standard output is the comparison's.
    with redirect_stdout(sys.stderr):
        if begun:
            train([], resume=folder.path)
        else:
            train(words, output=folder.path)
    return folder.path
