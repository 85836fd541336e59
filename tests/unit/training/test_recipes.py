"""Every configuration that is shipped: it parses, and its parts can be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from agelens.cli import training as cli_training
from agelens.data.training_input import preset_named
from agelens.models.backbones import BACKBONES
from agelens.models.backbones.weights import STARTS
from agelens.training import configuration
from agelens.training.config_schema import RECIPES as RECIPES_FOLDER
from agelens.training.config_schema import read_config
from agelens.training.configuration import (
    config_text,
    make_run,
    parse_run,
    plain_config,
    run_parser,
)
from agelens.training.run_options import RunOptions

CONFIGS = RECIPES_FOLDER
OF_OTHER_COMMANDS = ("iefp",)  # agelens identity train reads these
FILES = sorted(p for p in CONFIGS.rglob("*.yaml") if p.parent.name not in OF_OTHER_COMMANDS)
RECIPES = [path for path in FILES if path.stem != "base"]
NAMED = (
    *("rapl/agedb", "rapl/afad", "rapl/cacd", "ldl/morph", "ldl/megaage", "ldl/megaage-asian"),
    *("ldl/imdb-wiki", "ldl/appa-real", "ldl/multitask-morph", "regression/utkface-resnet50"),
    *("regression/utkface-efficientnet_b0", "regression/utkface-vit", "coral/morph"),
    *("coral/morph-vgg", "unified/morph", "experiments/utkface-dlib-resnet10"),
    *("coral-tf/morph", "coral-tf/morph-vgg", "ldl/tinyage", "ldl/seresnext50"),
    *("guide/utkface-resnet50", "guide/utkface-efficientnet_b0", "guide/utkface-vit"),
    "experiments/utkface-to-fgnet",
)


PARSER = run_parser()


def run_of(name: str) -> RunOptions:
    return make_run(PARSER, parse_run(PARSER, ["--config", str(CONFIGS / f"{name}.yaml")]))


@pytest.mark.parametrize("name", NAMED)
def test_the_recipes_are_there(name: str) -> None:
    assert CONFIGS / f"{name}.yaml" in RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recipe_parses_and_its_parts_can_be_made(path: Path) -> None:
    config = parse_run(PARSER, ["--config", str(path)])
    run = make_run(PARSER, config)
    assert run.data.folders
    assert run.method.scale
    assert run.trainer["max_epochs"] > 0
    assert run.backbone.name in BACKBONES or run.backbone.weights in ("timm", "random", "packaged")
    assert preset_named(run.data.preset.name)
    for epoch in range(3):
        factor = run.schedule.factor(epoch, steps_per_epoch=1, steps=run.trainer["max_epochs"])
        assert 0 <= factor <= 1
    assert "base" not in config_text(config).split()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_print_config_shows_what_is_read_back_the_same(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that others build on lacks what each of them says: a store, a method."""
    lacking = ["--data.stores", "stores/mine"] if path.stem == "base" else []
    lacking += ["--method", "dex"] if path.parent == CONFIGS else []
    words = ["--config", str(path), *lacking]
    monkeypatch.setattr(configuration, "run_parser", lambda **_: PARSER)
    cli_training.train(words, print_config=True)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(capsys.readouterr().out)
    again = parse_run(PARSER, ["--config", str(resolved)])
    assert plain_config(again) == plain_config(parse_run(PARSER, words))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_file_starts_from_weights_that_nobody_has(path: Path) -> None:
    weights = read_config(path).get("backbone", {}).get("weights", "random")
    assert weights in STARTS


def test_values_are_those_of_the_papers() -> None:
    rapl = run_of("rapl/cacd")
    assert (rapl.optimizer.lr, rapl.optimizer.weight_decay) == (1e-6, 1e-2)
    assert rapl.seed == 123
    ldl = run_of("ldl/megaage-asian")
    assert ldl.selection.metric == "ca3"
    assert ldl.schedule.factor(20, steps_per_epoch=1, steps=80) == pytest.approx(0.2)
    coral = run_of("coral/morph")
    assert len(coral.method.scale) == 55
    unified = run_of("unified/utkface")
    assert (unified.data.batch_size, unified.backbone.size) == (100, 256)
