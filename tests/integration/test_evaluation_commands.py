"""`agelens evaluate`, `gate` and `calibrate` on tables, good and bad, as their user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.ages import AgeScale
from agelens.tables import PredictionsTable, SampleTable, write_predictions, write_table

Agelens = Callable[..., Any]
ROWS = 600
FAST = ("--draws", "20")


def people(count: int = ROWS, seed: int = 0, **columns: Any) -> PredictionsTable:
    random = np.random.default_rng(seed)
    scale = AgeScale.yearly(0, 100)
    ages = random.integers(8, 80, count).astype(float)
    middle = np.clip(ages + random.normal(0, 4, count), 0, 100)
    mass = np.exp(-0.5 * np.square((np.asarray(scale.years) - middle[:, None]) / 2))
    distribution = (mass / mass.sum(axis=1, keepdims=True)).astype(np.float32)
    low, high = scale.interval(distribution, 0.9)
    known: dict[str, Any] = {
        "sample_id": [f"s{n}" for n in range(count)],
        "dataset": "people",
        "age_years": ages,
        "age_kind": "real",
        "gender": random.choice(["female", "male"], count),
        "split": "valid",
        "estimate_years": scale.expected(distribution),
        "low_years": low,
        "high_years": high,
        "interval_level": 0.9,
        "model": "toy",
    }
    table = PredictionsTable.from_columns(known | columns)
    return PredictionsTable(table.frame, distribution, scale)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def table(folder: Path) -> Path:
    write_predictions(people(), folder / "p.parquet")
    return folder / "p.parquet"


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[str], Path]:
    def written(content: str) -> Path:
        path = tmp_path / "other.csv"
        path.write_text(content, encoding="utf-8")
        return path

    return written


@pytest.fixture
def model(write_card: Callable[..., Path], tmp_path: Path) -> Path:
    def change(document: dict[str, Any]) -> None:
        document["output"]["ages_years"] = list(range(101))
        document["trained_on"] = [{"dataset": "people", "split": "hash, part train"}]

    return write_card(tmp_path / "model", change=change).parent


class TestEvaluate:
    def test_several_tables_stand_side_by_side(
        self, table: Path, folder: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        write_predictions(people(50, seed=1), folder / "few.csv")
        run = agelens(
            *("evaluate", table, folder / "few.csv", "-o", tmp_path / "out", *FAST),
        )
        assert run.status == 0, run.err
        assert "p: 600 rows, people unknown, 0 without estimate" in run.out
        assert f"wrote {tmp_path / 'out' / 'index.html'}" in run.out
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert {"evaluation.json", "metrics.csv", "groups.csv", "gaps.csv", "worst.csv"} <= names
        document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert [one["name"] for one in document["tables"]] == ["p", "few"]

    def test_json_on_standard_output(self, table: Path, agelens: Agelens) -> None:
        run = agelens(
            *("evaluate", table, "--json", "--metrics", "mae,coverage", "--by", "gender", *FAST)
        )
        assert run.status == 0, run.err
        (found,) = json.loads(run.out)["tables"]
        assert list(found["metrics"]) == ["mae", "coverage"]
        assert {row["grouping"] for row in found["groups"]} == {"gender", "age_five_years"}
        mae = found["metrics"]["mae"]
        assert mae["low"] < mae["value"] < mae["high"]

    def test_another_tools_csv(self, csv: Callable[[str], Path], agelens: Agelens) -> None:
        path = csv("file,pred,true,sex\na.jpg,30,28,0\nb.jpg,41,44,1\nc.jpg,20,20,0\n")
        mapping = path.with_name("columns.yaml")
        mapping.write_text(
            "sample_id: file\nestimate_years: pred\nage_years: 'true'\n"
            "gender: [sex, {0: male, 1: female}]\n"
        )
        run = agelens(
            *("evaluate", path, "--columns", mapping, "--age-kind", "real", "--json", *FAST)
        )
        assert run.status == 0, run.err
        (found,) = json.loads(run.out)["tables"]
        assert found["metrics"]["mae"]["value"] == pytest.approx(5 / 3)
        pairs = "sample_id=file,estimate_years=pred,age_years=true"
        run = agelens("evaluate", path, "--columns", pairs, "--age-kind", "real", "--json", *FAST)
        assert json.loads(run.out)["tables"][0]["metrics"]["mae"] == found["metrics"]["mae"]

    def test_labels_from_a_sample_table(self, agelens: Agelens, tmp_path: Path) -> None:
        labelled = people(40)
        samples = SampleTable.from_columns(
            labelled.frame[["sample_id", "dataset", "age_years", "age_kind"]].assign(path="a.png")
        )
        write_table(samples, tmp_path / "samples.parquet")
        bare = labelled.frame.assign(age_years=np.nan, age_kind=None)
        write_predictions(PredictionsTable(bare), tmp_path / "p.parquet")
        run = agelens("evaluate", tmp_path / "p.parquet", *FAST)
        assert run.status == 2
        assert "no labels" in run.err or "no row" in run.err
        run = agelens(
            *("evaluate", tmp_path / "p.parquet", "--labels", tmp_path / "samples.parquet", *FAST),
            "--json",
        )
        assert run.status == 0, run.err
        assert json.loads(run.out)["tables"][0]["counts"]["labelled"] == 40

    def test_missing_estimates_are_counted_never_dropped_silently(
        self, csv: Callable[[str], Path], agelens: Agelens, tmp_path: Path
    ) -> None:
        path = csv(
            "sample_id,estimate_years,age_years,age_kind,status\n"
            "a,30,28,real,\nb,,44,real,no_face\nc,nan,20,real,\nd,25,,,\n"
        )
        run = agelens("evaluate", path, "--json", *FAST)
        assert run.status == 0, run.err
        (found,) = json.loads(run.out)["tables"]
        assert found["counts"]["without_estimate"] == 2
        assert found["counts"]["without_age"] == 1
        assert found["counts"]["statuses"] == {"ok": 2, "no_face": 1, "no_estimate": 1}
        assert (found["metrics"]["mae"]["samples"], found["metrics"]["mae"]["left_out"]) == (1, 3)
        run = agelens("evaluate", path, *FAST)
        assert "2 without estimate, 1 without age" in run.out

    def test_one_sample_of_one_group(
        self, csv: Callable[[str], Path], agelens: Agelens, tmp_path: Path
    ) -> None:
        path = csv("sample_id,estimate_years,age_years,age_kind,gender\na,30,28,real,male\n")
        run = agelens("evaluate", path, "-o", tmp_path / "out", "--json", *FAST)
        assert run.status == 0, run.err
        (found,) = json.loads(run.out)["tables"]
        mae = found["metrics"]["mae"]
        assert (mae["value"], mae["low"], mae["samples"]) == (2.0, None, 1)
        assert all(gap["gap"] is None for gap in found["gaps"])
        assert all(row["few"] for row in found["groups"])

    def test_ages_as_strings_are_read_or_named(
        self, csv: Callable[[str], Path], agelens: Agelens
    ) -> None:
        path = csv('sample_id,estimate_years,age_years,age_kind\na,"30.5"," 28 ",real\n')
        run = agelens("evaluate", path, "--json", *FAST)
        assert json.loads(run.out)["tables"][0]["metrics"]["mae"]["value"] == 2.5
        path = csv("sample_id,estimate_years,age_years,age_kind\na,30,twenty,real\n")
        run = agelens("evaluate", path, *FAST)
        assert run.status == 2
        assert "'age_years'" in run.err
        assert "row 0: 'twenty'" in run.err

    @pytest.mark.parametrize(
        ("rows", "complaint"),
        [
            ("a,30,28,real\na,31,28,real\n", "occurs more than once"),
            ("a,30,28,real\nb,31,-1,real\n", "'b' one of -1 years among them"),
            ("a,30,999,real\n", "ages lie from 0 to 150"),
            ("a,30,28,real\nb,31,28,apparent\n", "--allow-mixed-age-kinds"),
            ("a,30,28,guessed\n", "is not one of real, apparent, estimated"),
            ("a,inf,28,real\n", "beyond 150 years"),
            ("a,thirty,28,real\n", "is not a number"),
        ],
    )
    def test_bad_rows_are_named(
        self, rows: str, complaint: str, csv: Callable[[str], Path], agelens: Agelens
    ) -> None:
        run = agelens(
            "evaluate", csv(f"sample_id,estimate_years,age_years,age_kind\n{rows}"), *FAST
        )
        assert run.status == 2
        assert complaint in run.err

    def test_ages_of_no_stated_kind_are_measured_and_said_so(
        self, csv: Callable[[str], Path], agelens: Agelens
    ) -> None:
        run = agelens("evaluate", csv("sample_id,estimate_years,age_years\na,30,28\n"), *FAST)
        assert run.status == 0, run.err
        assert "ages: 1 unstated" in run.out

    def test_kinds_are_mixed_where_asked_for(
        self, csv: Callable[[str], Path], agelens: Agelens
    ) -> None:
        path = csv("sample_id,estimate_years,age_years,age_kind\na,30,28,real\nb,31,28,apparent\n")
        run = agelens("evaluate", path, "--allow-mixed-age-kinds", "--json", *FAST)
        assert run.status == 0, run.err
        assert json.loads(run.out)["tables"][0]["counts"]["age_kinds"] == {"real": 1, "apparent": 1}

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--metrics", "mea"), "Did you mean 'mae'?"),
            (("--by", "gendr"), "unknown group column 'gendr'. Did you mean 'gender'?"),
            (("--by", "sharpness"), "no row says sharpness"),
            (("--draws", "-1"), "draws"),
            (("--level", "95"), "level"),
            (("--root", "."), "--output"),
            (("--columns", "nowhere.yaml"), "--columns takes pairs"),
            (("--columns", "estimate_years=nothing"), "no column nothing"),
            (("--labels", "nowhere.parquet"), "no table at nowhere.parquet"),
        ],
    )
    def test_wrong_usage(
        self, options: tuple[str, ...], complaint: str, table: Path, agelens: Agelens
    ) -> None:
        run = agelens("evaluate", table, *(() if "--draws" in options else FAST), *options)
        assert run.status == 2
        assert complaint in run.err

    def test_a_full_folder_and_two_tables_of_one_name_are_refused(
        self, table: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        (tmp_path / "full.txt").write_text("mine")
        run = agelens("evaluate", table, "-o", tmp_path, *FAST)
        assert run.status == 2
        assert "not empty" in run.err
        assert (tmp_path / "full.txt").read_text() == "mine"
        run = agelens("evaluate", table, table, *FAST)
        assert run.status == 2
        assert "cannot be told apart" in run.err

    def test_pictures_that_are_not_there_leave_no_folder(
        self, table: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        run = agelens("evaluate", table, "-o", tmp_path / "out", "--root", tmp_path, *FAST)
        assert run.status == 2
        assert "none of the worst errors' pictures" in run.err
        assert not (tmp_path / "out").exists()


class TestGate:
    def test_challenge_age_and_both_rates(
        self, table: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        run = agelens(
            *("gate", table, "--legal", "18", "--max-false-accept", "0.1"),
            *("--by", "gender", "-o", tmp_path / "gate"),
        )
        assert run.status == 0, run.err
        assert "Challenge age" in run.out
        assert "of people under 18 pass (here " in run.out
        assert "do not pass, and have to show a document" in run.out
        assert "true year" in run.out
        assert (tmp_path / "gate" / "gate.json").is_file()

    def test_json_says_whether_the_data_promise_it(self, table: Path, agelens: Agelens) -> None:
        asked = ("gate", table, "--legal", "18", "--json", "--from-age", "13")
        run = agelens(*asked, "--max-false-accept", "0.2")
        found = json.loads(run.out)
        assert found["promised"] is True
        assert {row["group"] for row in found["by_group"]["gender"]} == {"female", "male"}
        assert min(float(row["group"]) for row in found["by_year"]) == 13
        run = agelens(*asked, "--max-false-accept", "0.001")
        assert run.status == 0
        found = json.loads(run.out)
        assert (found["promised"], found["challenge_years"]) == (False, None)
        assert found["needed_under_legal_age"] == 2995

    def test_data_that_are_too_few_say_so_and_are_no_failure(
        self, table: Path, agelens: Agelens
    ) -> None:
        run = agelens("gate", table, "--legal", "18", "--max-false-accept", "0.001")
        assert run.status == 0
        assert "No challenge age can be promised" in run.out
        assert "at least 2,995 people under 18" in run.out

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--legal", "5"), "nobody of the 600 people in the table is under the legal age of 5"),
            (("--legal", "99", "--from-age", "0"), "has reached the legal age of 99"),
            (("--legal", "18", "--from-age", "18"), "is under the legal age"),
            (("--legal", "18", "--confidence", "1"), "confidence between 0.5 and 1"),
            (("--legal", "18", "--by", "gendr"), "unknown group column"),
            (
                ("--legal", "18", "--max-false-accept", "0.0001", "--by", "gendr"),
                "unknown group column",  # although there is no gate to show groups of
            ),
            (("--legal", "nan"), "--legal: must be a number above 0, got 'nan'"),
            (("--legal", "-3"), "--legal: must be a number above 0, got '-3'"),
            (("--legal", "18", "--from-age", "nan"), "--from-age: must be a number"),
        ],
    )
    def test_a_gate_beyond_the_data(
        self, options: tuple[str, ...], complaint: str, table: Path, agelens: Agelens
    ) -> None:
        run = agelens("gate", table, "--max-false-accept", "0.1", *options)
        assert run.status == 2
        assert complaint in run.err

    @pytest.mark.parametrize(
        ("rows", "complaint"),
        [
            ("a,,28,real\nb,nan,31,real\n", "none of the 2 rows can be counted: 2 no estimate"),
            ("a,30,-1,real\nb,30,28,real\n", "an age that nobody has"),
            ("a,30,28,real\n", "nobody of the 1 people"),
            ("a,30,28,real\nb,30,12,apparent\n", "--allow-mixed-age-kinds"),
            ("a,30,28,real\na,30,28,real\n", "occurs more than once"),
        ],
    )
    def test_rows_that_make_no_gate(
        self, rows: str, complaint: str, csv: Callable[[str], Path], agelens: Agelens
    ) -> None:
        path = csv(f"sample_id,estimate_years,age_years,age_kind\n{rows}")
        run = agelens("gate", path, "--legal", "18", "--max-false-accept", "0.1")
        assert run.status == 2
        assert complaint in run.err

    def test_predictions_without_ages(self, csv: Callable[[str], Path], agelens: Agelens) -> None:
        path = csv("sample_id,estimate_years\na,30\n")
        run = agelens("gate", path, "--legal", "18", "--max-false-accept", "0.1")
        assert run.status == 2
        assert "none of the 1 predictions has an age" in run.err


class TestCalibrate:
    def test_the_card_is_calibrated_in_place(
        self, table: Path, model: Path, agelens: Agelens
    ) -> None:
        run = agelens("calibrate", table, "--model", model, "--bins", "3")
        assert run.status == 0, run.err
        assert f"wrote {model / 'card.json'}" in run.out
        assert "own coverage" in run.out
        section = json.loads((model / "card.json").read_text())["calibration"]
        assert [one["level"] for one in section["intervals"]] == [0.5, 0.8, 0.9, 0.95]
        assert section["intervals"][2]["coverage"] == pytest.approx(0.9, abs=0.04)
        assert section["samples"] == ROWS

    def test_json_levels_groups_and_bias(
        self, table: Path, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        run = agelens(
            *("calibrate", table, "--model", model, "--levels", "0.8", "--bias"),
            *("--by", "gender", "--score", "absolute", "--bins-of", "age", "--bins", "4"),
            *("-o", tmp_path / "copy", "--json"),
        )
        assert run.status == 0, run.err
        printed = json.loads(run.out)
        assert printed["card"] == str(tmp_path / "copy" / "card.json")
        (interval,) = printed["intervals"]
        assert (interval["score"], interval["bins_of"], interval["column"]) == (
            *("absolute", "age", "gender"),
        )
        assert printed["bias"] is not None
        assert json.loads((model / "card.json").read_text())["calibration"] is None
        assert agelens("models", tmp_path / "copy").status == 0

    @pytest.mark.parametrize(
        ("columns", "complaint"),
        [
            ({"split": "train"}, "of its part train"),
            ({"split": None}, "do not say of which part"),
            ({"model": "other"}, "the card is of toy"),
            ({"age_years": [-1.0, *[30.0] * (ROWS - 1)]}, "an age that nobody has"),
            ({"age_years": np.nan, "age_kind": None}, "has an age in years"),
            ({"age_kind": ["real", "apparent"] * (ROWS // 2)}, "--allow-mixed-age-kinds"),
        ],
    )
    def test_unfit_data_are_refused_and_the_card_is_kept(
        self,
        columns: dict[str, Any],
        complaint: str,
        model: Path,
        agelens: Agelens,
        tmp_path: Path,
    ) -> None:
        write_predictions(people(**columns), tmp_path / "p.parquet")
        before = (model / "card.json").read_bytes()
        run = agelens("calibrate", tmp_path / "p.parquet", "--model", model)
        assert run.status == 2
        assert complaint in run.err
        assert (model / "card.json").read_bytes() == before

    def test_one_sample_calibrates_nothing(
        self, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        write_predictions(people(1), tmp_path / "p.parquet")
        run = agelens("calibrate", tmp_path / "p.parquet", "--model", model)
        assert run.status == 2
        assert "1 samples of one person cannot calibrate" in run.err

    def test_ages_alone_are_no_distributions(
        self, model: Path, csv: Callable[[str], Path], agelens: Agelens
    ) -> None:
        path = csv("sample_id,estimate_years,age_years,age_kind\na,30,28,real\n")
        run = agelens("calibrate", path, "--model", model)
        assert run.status == 2
        assert "without its distributions" in run.err

    def test_missing_estimates_are_counted(
        self, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        table = people()
        for column in ("estimate_years", "low_years", "high_years"):
            table.frame.loc[:4, column] = np.nan
        table.frame["status"] = pd.Series(["no_face"] * 5 + ["ok"] * (ROWS - 5), dtype="category")
        assert table.distribution is not None
        distribution = table.distribution.copy()
        distribution[:5] = np.nan
        failed = PredictionsTable(table.frame, distribution, table.scale)
        write_predictions(failed, tmp_path / "p.parquet")
        run = agelens("calibrate", tmp_path / "p.parquet", "--model", model)
        assert run.status == 0, run.err
        assert f"{ROWS - 5} samples" in run.out
        assert "5 rows left out" in run.out

    def test_training_data_are_taken_where_asked_for(
        self, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        write_predictions(people(split="train"), tmp_path / "p.parquet")
        run = agelens(
            *("calibrate", tmp_path / "p.parquet", "--model", model),
            "--allow-training-data",
        )
        assert run.status == 0, run.err
        section = json.loads((model / "card.json").read_text())["calibration"]
        assert section["parts"] == {"train": ROWS}

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--score", "magic"), "unknown interval score 'magic'"),
            (("--bins", "0"), "--bins: must be a whole number from 1, got '0'"),
            (("--bins-of", "gender"), "unknown what bins are of"),
            (("--levels", "1.5"), "--levels: must be a number above 0 and below 1, got '1.5'"),
            (("--levels", "many"), "must be a number above 0 and below 1, got 'many'"),
            (("--part", "valid"), "choose rows of a store"),
        ],
    )
    def test_wrong_usage(
        self,
        options: tuple[str, ...],
        complaint: str,
        table: Path,
        model: Path,
        agelens: Agelens,
    ) -> None:
        run = agelens("calibrate", table, "--model", model, *options)
        assert run.status == 2
        assert complaint in run.err

    def test_packaged_models_need_a_folder(
        self, table: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        run = agelens("calibrate", table, "--model", "cc0-resnet10")
        assert run.status == 2
        assert "-o" in run.err
        (tmp_path / "mine").write_text("kept")
        run = agelens("calibrate", table, "--model", "cc0-resnet10", "-o", tmp_path)
        assert run.status == 2
        assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize("command", ["evaluate", "gate", "calibrate"])
def test_tables_are_measured_without_torch(
    command: str, table: Path, model: Path, tmp_path: Path
) -> None:
    arguments = {
        "evaluate": ["evaluate", table, "--draws", "5", "-o", tmp_path / "out"],
        "gate": [
            *("gate", table, "--legal", "18", "--max-false-accept", "0.1"),
            *("-o", tmp_path / "out"),
        ],
        "calibrate": ["calibrate", table, "--model", model],
    }[command]
    code = (
        "import sys; from agelens.cli import main; status = main(sys.argv[1:]);"
        "print(sorted({m.partition('.')[0] for m in sys.modules})); sys.exit(status)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    loaded = ran.stdout.splitlines()[-1]
    heavy = ["torch", "torchvision", "pytorch_lightning", "timm", "onnxruntime"]
    if command != "calibrate":  # a card states limits of quality, which OpenCV measures
        heavy.append("cv2")
    for package in heavy:
        assert f"'{package}'" not in loaded


def test_what_was_written_is_read_back_as_a_spreadsheet_would(
    table: Path, agelens: Agelens, tmp_path: Path
) -> None:
    agelens("evaluate", table, "-o", tmp_path / "out", *FAST)
    groups = pd.read_csv(tmp_path / "out" / "groups.csv")
    females = groups[
        (groups["grouping"] == "gender")
        & (groups["group"] == "female")
        & (groups["metric"] == "mae")
    ]
    assert females["samples"].item() == (people().frame["gender"] == "female").sum()
