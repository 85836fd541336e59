"""Recipes go by their names, and configuration files by their paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from agelens.errors import UsageError
from agelens.training.config_schema import (
    RECIPES,
    config_file,
    named_arguments,
    read_config,
    recipe_names,
    resolve_names,
)


def test_a_recipe_goes_by_its_whole_name_or_its_last_part() -> None:
    expected = RECIPES / "experiments" / "utkface-dlib-resnet10.yaml"
    assert config_file("experiments/utkface-dlib-resnet10") == expected
    assert config_file("utkface-dlib-resnet10") == expected
    assert all(config_file(name).is_file() for name in recipe_names())
    assert not any(name.endswith("base") for name in recipe_names())


def test_a_file_counts_before_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "utkface-dlib-resnet10").write_text("seed: 1")
    assert config_file("utkface-dlib-resnet10") == Path("utkface-dlib-resnet10")
    assert config_file("absent.yaml") == Path("absent.yaml")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("utkface-dlib-resnet", "Did you mean 'utkface-dlib-resnet10'?"),
        (
            "morph",
            "called 'morph': coral/morph, coral-tf/morph, ldl/morph, unified/morph",
        ),
        ("zzz", "no file and no recipe"),
    ],
)
def test_what_is_no_recipe_is_told(name: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        config_file(name)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "words", [["--method.class_path", "coral"], ["--method.class_path=coral"], ["--method=coral"]]
)
def test_yamls_own_spelling_of_a_class_works_as_an_option(words: list[str]) -> None:
    option, _, value = " ".join(named_arguments(words)).replace("=", " ").partition(" ")
    assert (option, value) == ("--method", "agelens.models.methods.coral.CORAL")


@pytest.mark.parametrize("name", ["ir50", "resnet50.a1_in1k"])
def test_a_backbone_is_named_as_a_method_is(name: str) -> None:
    assert named_arguments(["--backbone", name]) == ["--backbone.name", name]
    assert named_arguments([f"--backbone={name}"]) == [f"--backbone.name={name}"]
    assert resolve_names({"backbone": name}) == {"backbone": {"name": name}}


@pytest.mark.parametrize("words", [["--backbone", "{name: ir50}"], ["--backbone", "net.yaml"]])
def test_a_backbones_whole_settings_are_left_as_they_are(words: list[str]) -> None:
    assert named_arguments(words) == words


@pytest.mark.parametrize("base", ["", "5", "[base.yaml, 5]", "{a: b}", "[[]]"])
def test_a_base_that_is_no_path_is_told(base: str, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed: 1\n", "utf-8")
    path = tmp_path / "run.yaml"
    path.write_text(f"base: {base}\n", "utf-8")
    with pytest.raises(UsageError, match=r"run\.yaml: base is the path of a configuration, or a"):
        read_config(path)


def test_a_base_that_no_system_has_a_path_for_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text('base: "a\\0b.yaml"\n', "utf-8")
    with pytest.raises(UsageError, match="null"):
        read_config(tmp_path / "run.yaml")
