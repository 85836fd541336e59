"""`agelens methods`, `recipes`, `train`, `tune`, `export` and `runs`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from agelens.atomic import is_helper
from agelens.cli.options import WHOLE, OneOf, PositiveFloat, PositiveInt
from agelens.cli.output import print_json, print_rows
from agelens.errors import DatasetError, TrainingError, UsageError
from agelens.foreign_files import decoding, parse_yaml
from agelens.training.config_schema import (
    AGE_RUN,
    RECIPES,
    ConfigSchema,
    config_file,
    read_arguments,
    read_config,
    recipe_names,
)
from agelens.training.run_folder import RunFolder

_FOLDER: Final = "AGELENS_RUN_FOLDER"


def checked_words(
    words: list[str],
    command: str,
    schema: ConfigSchema,
    *,
    output: Path | None = None,
    resume: Path | None = None,
    starts: bool = True,
) -> list[str]:
    """The words of a configuration, with that of a resumed run before them, once they are checked.

    Nothing heavy is loaded: what is mistyped is told at once.

    Args:
        words: ``--config`` and keys.
        command: what is called.
        schema: the keys that there are.
        output: where a new run is to go.
        resume: the run to go on with.
        starts: something will be trained, so that its chips must be there.

    Raises:
        UsageError: options that clash, an unknown key, a folder that holds something, or no run
            to go on with.
        UnknownNameError: a name that is in no registry.
        DatasetError: a store that is not there.
    """
    if resume and output:
        raise UsageError("--resume goes on in the run's own folder: leave out -o")
    if resume:
        folder = RunFolder(resume, command)
        folder.check_begun()
        words = ["--config", str(folder.config), *words]
    document, options = read_arguments(words)
    schema.check(document, options)
    if starts and output and not is_helper():
        RunFolder(output, command).check_new()
    if starts:
        _check_stores(document, options)
    return words


def _check_stores(document: Mapping[str, Any], options: Sequence[str]) -> None:
    data = document.get("data", {})
    stores = data.get("stores") if isinstance(data, Mapping) else None
    for word, following in pairwise([*options, ""]):
        option, equals, value = word.partition("=")
        if option == "--data.stores":
            stores = parse_yaml(value if equals else following, option, UsageError)
    for store in stores if isinstance(stores, list) else [stores]:
        if isinstance(store, str) and not Path(store).is_dir():
            raise DatasetError(
                f"{store}: expected a chip store, and nothing is there: make one with agelens data "
                "prepare, or name another one with --data.stores"
            )


def run_folder(words: Sequence[str], named: Path | None, command: str) -> RunFolder:
    """The run's folder: the one that is named, or a new one below runs/.

    Processes that Lightning starts find the same one.

    Raises:
        UsageError: several processes were started and no folder is named.
    """
    path = named or _new_folder(words)
    os.environ[_FOLDER] = str(path)
    return RunFolder(path, command)


def _new_folder(arguments: Sequence[str]) -> Path:
    """runs/NAME of the last configuration file, with a number where that is taken."""
    if is_helper():
        if _FOLDER not in os.environ:
            raise UsageError(
                "name the run's folder with -o where torchrun or srun starts processes"
            )
        return Path(os.environ[_FOLDER])
    files = [arguments[n + 1] for n, word in enumerate(arguments[:-1]) if word == "--config"]
    name = Path(files[-1]).stem if files else "run"
    place, number = Path("runs") / name, 1
    while place.exists():
        number += 1
        place = Path("runs") / f"{name}-{number}"
    return place


if TYPE_CHECKING:
    from agelens.training.run import Run
    from agelens.training.run_folder import RunFolder


def methods(name: str | None = None, /, *, json: bool = False) -> None:
    """List the age methods, or say of one how it differs from its authors' code.

    Systems whose recipes we have, such as ldl or iefp, go by the name of their recipes.

    Args:
        name: a method, or a system.
        json: print JSON instead of a table, or of sentences.
    """
    from agelens.models.departures import departures_of, system_departures  # noqa: PLC0415
    from agelens.models.methods import METHODS, list_methods, method_class  # noqa: PLC0415

    if name is None:
        listed_methods = list_methods().reset_index().to_dict("records")
        rows = [{str(key): value for key, value in row.items()} for row in listed_methods]
        print_rows(rows, as_json=json)
        if not json:
            print(f"systems with recipes: {', '.join(system_departures())}")
        return
    listed = departures_of(name)
    if json:
        print_json([one._asdict() for one in listed])
        return
    if name in METHODS:
        print(f"{name}: {method_class(name).paper}")
    for place, one in enumerate(listed, start=1):
        print(f"{place}. theirs: {one.theirs}")
        print(f"   ours: {one.ours}")
        print(f"   why: {one.why}")
        print(f"   to get theirs: {one.get_theirs}")
    if not listed:
        print("no difference from the authors' code is known")


def recipes(name: str | None = None, /, *, json: bool = False) -> None:
    """List the configurations that come with agelens, or print one whole.

    Any of them goes by its name: agelens train --config utkface-dlib-resnet10.

    Args:
        name: a recipe, such as coral/morph, to print.
        json: print JSON instead of a table, or of YAML.
    """
    if name is not None:
        file = config_file(name)
        print_json(read_config(file)) if json else print(file.read_text(encoding="utf-8"), end="")
        return
    rows = []
    for one in recipe_names():
        document = read_config(RECIPES / f"{one}.yaml")
        method = document.get("method", {}).get("class_path", "").rpartition(".")[2]
        stores = document.get("data", {}).get("stores", "")
        backbone = document.get("backbone", document.get("branch", {})).get("name", "")
        rows.append({"recipe": one, "method": method, "backbone": backbone, "stores": stores})
    print_rows(rows, as_json=json)


def train(
    words: list[str],
    *,
    output: Path | None = None,
    resume: Path | None = None,
    quiet: bool = False,
    print_config: bool = False,
    export: bool = True,
) -> None:
    """Train an age estimator: any method, any backbone, any chip store.

    Args:
        words: what is configured: --config RECIPE or FILE, and --KEY VALUE.
        output: folder of the run; by default one below runs/, named after the configuration.
        resume: go on with the run in this folder, from its last checkpoint.
        quiet: print nothing while training.
        print_config: print the whole configuration and stop.
        export: leave out the bundle for agelens estimate --model.
    """
    words = checked_words(
        words, "agelens train", AGE_RUN, output=output, resume=resume, starts=not print_config
    )
    from agelens.training.checkpoints import check_same_config  # noqa: PLC0415
    from agelens.training.configuration import (  # noqa: PLC0415
        config_text,
        make_run,
        parse_run,
        run_parser,
    )
    from agelens.training.engine import train_in  # noqa: PLC0415

    parser = run_parser()
    config = parse_run(parser, words)
    if print_config:
        print(config_text(config), end="")
        return
    run = make_run(parser, config)
    folder = run_folder(words, output or resume, "agelens train")
    exported = (folder.path / "card.json").is_file() or not export
    if resume and folder.summary.is_file() and exported:
        check_same_config(folder, run.config)
        print(f"{folder.path} is finished already; nothing to do", file=sys.stderr)
        return
    _tell(train_in(folder, run, config_text(config), quiet=quiet, export=export), export)


def trained_runs(configs: Sequence[Path], seeds: int, runs: Path) -> list[Path]:
    """The folders of finished runs, one for each configuration and seed, below `runs`.

    Those that are there already are taken, and those that were interrupted are resumed.

    Raises:
        UsageError: configurations of one name, or a folder that holds another one's run.
        TrainingError: a run broke down.
    """
    stems = [config.stem for config in configs]
    if len(set(stems)) < len(stems):
        raise UsageError(f"configurations of one name cannot be told apart: {', '.join(stems)}")
    # What is printed is about training; standard output is the caller's.
    with redirect_stdout(sys.stderr):
        return [_trained(config, seed, runs) for config in configs for seed in range(seeds)]


def _trained(config: Path, seed: int, runs: Path) -> Path:
    from agelens.training.configuration import config_text, parse_run, run_parser  # noqa: PLC0415
    from agelens.training.run_folder import RunFolder  # noqa: PLC0415

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
    if not begun:
        train(words, output=folder.path)
    elif not folder.summary.is_file():
        train([], resume=folder.path)
    return folder.path


def tune(
    words: list[str],
    *,
    output: Path,
    quiet: bool = False,
    overfit_samples: PositiveInt = 32,
    overfit_steps: PositiveInt = 300,
    sweep_steps: PositiveInt = 60,
    grid_epochs: PositiveInt = 3,
    search: Literal["optuna"] | None = None,
    trials: PositiveInt = 20,
    trial_epochs: PositiveInt = 5,
    space: Annotated[list[str], WHOLE] | None = None,
    run: bool = True,
) -> None:
    """Find learning rate and weight decay in steps that are reported, then train.

    Look at the untrained loss, learn a few samples by heart, sweep learning rates, fill a grid
    of rates by weight decays (or search), train with the best; one report. Called again alike,
    it goes on where it was stopped. Every key of agelens train works too.

    Args:
        words: what is configured: --config RECIPE or FILE, and --KEY VALUE.
        output: folder of the report and of the run.
        quiet: no progress.
        overfit_samples: how many to learn by heart.
        overfit_steps: for that, at each of at most three rates.
        sweep_steps: at each of nine learning rates.
        grid_epochs: of each of the grid's twelve trials.
        search: search in place of sweep and grid.
        trials: of the search.
        trial_epochs: of each trial of a search.
        space: what the search changes: KEY=LOW:HIGH[:log], or KEY=VALUE,VALUE.
        run: stop before the long run.
    """
    words = checked_words(words, "agelens tune", AGE_RUN)
    from agelens.progress import progress_bars  # noqa: PLC0415
    from agelens.training.configuration import make_run, parse_run, run_parser  # noqa: PLC0415
    from agelens.training.tuning import TuningPlan, parse_space  # noqa: PLC0415
    from agelens.training.tuning import tune as tune_run  # noqa: PLC0415

    plan = TuningPlan(
        overfit_samples=overfit_samples,
        overfit_steps=overfit_steps,
        sweep_steps=sweep_steps,
        grid_epochs=grid_epochs,
        trials=trials if search else 0,
        trial_epochs=trial_epochs,
        space=parse_space(space) if space else None,
        long_run=run,
    )
    parser = run_parser("agelens tune")
    config = make_run(parser, parse_run(parser, words)).config
    with progress_bars("tuning", quiet=quiet) as bars:
        found = tune_run(
            config,
            output,
            plan,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
            bars=bars,
            quiet=quiet,
        )
    print(" ".join(f"--{key} {value!r}" for key, value in found.items()))


def export(
    runs: list[Path],
    *,
    format: Literal["onnx", "torchscript"] = "onnx",
    half: bool = False,
    int8: bool = False,
    output: Path | None = None,
    template: Annotated[str, OneOf("agelens.imaging.align:TEMPLATES")] | None = None,
    margin: float = 0.0,
    average: Literal["answers", "weights"] = "answers",
    shares: list[PositiveFloat] | None = None,
    json: bool = False,
) -> None:
    """Write the best epoch of a run as weights with their card, for agelens estimate --model.

    Several runs become one network, which answers the mean of theirs, or has the mean of their
    weights (of runs from the same start: as fast as one, and errs less).

    The exported network is compared with the trained one on chips of the validation part;
    where ages are more than 0.05 years apart, nothing is written. int8 is not refused for being
    apart: its change of error is printed, and stands in the card.

    Args:
        runs: folder of a finished agelens train, or several.
        format: of the file.
        half: keep weights in half precision: half the size, the same speed.
        int8: calculate in whole numbers: a quarter of the size, faster; ONNX only.
        output: a new folder; by default RUN itself, RUN/torchscript, RUN/onnx-half, ...
        template: of a run on --aligned chips: the frame that they show, and photos are cut by.
        margin: with --template: how much more than that frame they show.
        average: of several runs: the mean of their answers, or of their weights.
        shares: with --average weights: how much each run counts, as in 3,1; all alike otherwise.
        json: print JSON instead of a sentence.
    """
    if half and int8:
        raise UsageError("--half and --int8 do not go together: choose one")
    if output is not None and (output / "card.json").exists():
        raise UsageError(f"{output} holds a model already; name another folder")
    if len(runs) > 1 and template is not None:
        raise UsageError("--template is for one run; export each, and average those")
    if len(runs) == 1 and average == "weights":
        raise UsageError("--average weights is for several runs; name each of them")
    if shares is not None and average != "weights":
        raise UsageError("--shares goes with --average weights")
    if len(runs) > 1 and output is None:
        raise UsageError("the mean of several runs is no run's own: name a folder for it with -o")
    from agelens.training.run_export import export_mean, export_run  # noqa: PLC0415 - loads torch

    precision: Literal["single", "half", "int8"] = "half" if half else "int8" if int8 else "single"
    if output is not None and len(runs) > 1:
        done = export_mean(
            runs, output, average=average, shares=shares, format=format, precision=precision
        )
    else:
        done = export_run(
            runs[0],
            format=format,
            output=output,
            precision=precision,
            template=template,
            margin=margin,
        )
    if json:
        print_json(
            {
                "folder": str(done.folder),
                "format": done.format,
                "precision": done.precision,
                "parity": done.parity.to_json(),
            }
        )
        return
    change = f"; its mean error on them changed by {done.parity.mae_change_years:+.3f} years"
    print(
        f"wrote {done.folder}: on {done.parity.chips:,} validation chips at most "
        f"{done.parity.largest_years:.4f} years from the trained network (mean "
        f"{done.parity.mean_years:.4f}){change if int8 else ''}"
    )
    if int8:
        from agelens.inference.cards import load_card  # noqa: PLC0415

        print(_reach_of_int8(**load_card(done.folder).document["export"]["layers"]))


def _reach_of_int8(whole_numbers: int, of: int) -> str:
    if whole_numbers:
        return f"{whole_numbers} of its {of} layers multiply in whole numbers"
    return (
        f"none of its {of} layers multiplies in whole numbers: first layers, grouped convolutions "
        "and small heads stay in single precision, and it has no others. This file is neither "
        "smaller nor faster than without --int8; --half makes it smaller"
    )


def runs(folder: Path = Path("runs"), /, *, json: bool = False) -> None:
    """List the runs in a folder, and how far each is.

    Args:
        folder: where the runs are, at any depth.
        json: print JSON instead of a table.
    """
    from agelens.training.run_folder import RunFolder  # noqa: PLC0415

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder with runs")
    rows = []
    for path in _runs_below(folder):
        with decoding(path, "a run", TrainingError):
            rows.append(_row(RunFolder(path), folder))
    if json:
        print_json(rows)
        return
    if not rows:
        print(f"no runs in {folder}")
        return
    print_rows([_shown(row) for row in rows])
    _tell_departures(rows)


def _tell(run: Run, exported: bool) -> None:
    for part, figures in run.metrics.items():
        print(
            f"{part}: MAE {figures['mae']:.3f} years, CS@5 {100 * figures['cs5']:.1f} %, "
            f"bias {figures['bias']:+.2f}{_false_adults(figures)}, {figures['samples']:,} samples"
        )
    share = run.summary["model_time_share"]
    told = f", {100 * share:.0f} % of it in the model" if share is not None else ""
    epochs, seconds = run.summary["epochs"], run.summary["seconds"]
    print(f"{epochs} epochs in {seconds:.0f} s{told}; wrote {run.folder}")
    if not exported:
        return
    from agelens.inference.cards import load_card  # noqa: PLC0415

    if load_card(run.folder).input.alignment != "as-shipped":
        print(f"agelens estimate --model {run.folder} uses it")
        return
    print(
        f"agelens estimate --model {run.folder} --aligned uses it for chips aligned as these were;"
        f" for photos, say which frame they show: agelens export {run.folder} --template dlib-64"
    )


def _false_adults(figures: dict[str, float]) -> str:
    share = figures.get("false_adult@18")
    return "" if share is None else f", {100 * share:.1f} % of those under 18 estimated as adults"


def _runs_below(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("config.yaml"))


def _row(run: RunFolder, folder: Path) -> dict[str, Any]:
    begun = run.read(run.environment) if run.environment.is_file() else {}
    ended = run.read(run.summary) if run.summary.is_file() else {}
    epochs = run.read_epochs() if run.metrics.is_file() else None
    # A run that trains recognition has no ages to err in.
    valid: list[float] = []
    if epochs is not None and "valid/mae" in epochs:
        valid = epochs["valid/mae"].astype(float).tolist()
    figures = ended.get("metrics", {})
    return {
        "name": str(run.path.relative_to(folder)),
        "method": begun.get("method"),
        "backbone": begun.get("backbone"),
        "data": begun.get("train_data"),
        "epochs": 0 if epochs is None else len(epochs),
        "valid MAE": figures.get("valid", {}).get("mae", min(valid, default=None)),
        "test MAE": figures.get("test", {}).get("mae"),
        "state": run.state,
        "departures": begun.get("departures", []),
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    figures = {name: f"{value:.3f}" for name, value in row.items() if isinstance(value, float)}
    shown = {name: "" if value is None else value for name, value in (row | figures).items()}
    del shown["departures"]  # sentences, which are told below the table
    return shown


def _tell_departures(rows: Sequence[dict[str, Any]]) -> None:
    """Where methods are not as their authors' code has them, which published figures rest on."""
    departures = {str(row["method"]): row["departures"] for row in rows}
    for method, sentences in sorted(departures.items()):
        for sentence in sentences:
            print(f"{method} departs from its authors' code: {sentence}")
