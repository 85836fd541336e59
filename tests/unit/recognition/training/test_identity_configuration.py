"""The recipes iefp/* say what the paper says; what is unknown is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agelens.errors import UsageError
from agelens.recognition.margins import ArcFace, CosFace
from agelens.recognition.training.configuration import (
    GROUPS,
    identity_parser,
    make_identity_run,
)
from agelens.recognition.training.train import stage_parts
from agelens.training.config_schema import RECIPES as SHIPPED
from agelens.training.configuration import config_text, parse_run
from agelens.training.optimizers import MultiStep

RECIPES = SHIPPED / "iefp"


def _run(*words: str) -> Any:
    parser = identity_parser()
    return make_identity_run(parser, parse_run(parser, list(words)))


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_makes_a_run(recipe: Path) -> None:
    stores = () if recipe.stem not in ("base", "identity") else ("--data.stores", "stores/one")
    run = _run("--config", str(recipe), *stores)
    assert run.data.batch_size == 512
    assert (run.optimizer.lr, run.optimizer.momentum, run.optimizer.weight_decay) == (
        0.1,
        0.9,
        1e-4,
    )
    assert isinstance(run.schedule, MultiStep)
    assert (run.schedule.milestones, run.schedule.gamma) == ([10, 18, 22], 0.1)
    assert (run.trainer["max_epochs"], run.gradient_clip) == (25, 5.0)
    assert (run.branch.name, run.branch.size) == ("iresnet50", 112)


def test_the_recipe_of_the_identity_stage_is_the_published_one() -> None:
    run = _run("--config", str(RECIPES / "ms1mv3.yaml"))
    assert isinstance(run.margin, CosFace)
    assert (run.margin.scale, run.margin.margin) == (64.0, 0.35)
    assert (run.club.bound_weight, run.club.likelihood_weight) == (0.001, 0.1)
    assert (run.branch.purification, run.age_branch.purification) == ("one", "one")
    assert (run.trainer["devices"], run.trainer["strategy"]) == (2, "ddp")
    assert run.stage == "identity"


def test_what_nobody_says_is_what_the_paper_says() -> None:
    published = _run("--config", str(RECIPES / "identity.yaml"), "--data.stores", "s").config
    default = _run("--data.stores", "s").config
    for group in ("margin", "classes", "club", "optimizer", "schedule", "gradient_clip"):
        assert default[group] == published[group]
    assert default["branch"] == {**published["branch"], "size": None}  # the backbone's own: 112


def test_arcface_does_not_inherit_cosface_s_margin() -> None:
    run = _run("--data.stores", "s", "--margin", "ArcFace", "--margin.easy", "true")
    assert isinstance(run.margin, ArcFace)
    assert (run.margin.margin, run.margin.easy) == (0.5, True)


def test_the_printed_configuration_makes_the_same_run(tmp_path: Path) -> None:
    parser = identity_parser()
    config = parse_run(parser, ["--config", str(RECIPES / "ms1mv3.yaml"), "--seed", "3"])
    text = config_text(config, GROUPS)
    (tmp_path / "printed.yaml").write_text(text)
    again = parse_run(parser, ["--config", str(tmp_path / "printed.yaml")])
    assert config_text(again, GROUPS) == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--club.bound_wieght", "1"), "Did you mean '--club.bound_weight'"),
        (("--data.lone_identites", "drop"), "Did you mean '--data.lone_identities'"),
        (("--trainer.gradient_clip_val", "1"), "Did you mean '--gradient_clip'"),
        (("--margin.init_args.angel", "1"), "angel"),
        (("--stage", "both"), "stage"),
        (("--optimizer.lr", "0"), "lr above 0"),
        (("--club.bound_weight", "-1"), "0 or more"),
    ],
)
def test_what_is_wrong_is_named(words: tuple[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _run("--data.stores", "s", *words)


def test_a_plateau_has_nothing_to_look_at() -> None:
    with pytest.raises(UsageError, match="a plateau needs a validation"):
        stage_parts(_run("--data.stores", "s", "--schedule", "plateau"))
