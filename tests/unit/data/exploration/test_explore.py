"""Exploring a table: every figure appears or says why not, and no text becomes markup."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.data.exploration import explore
from agelens.data.exploration.compared_table import sides
from agelens.data.exploration.samples import age_text
from agelens.errors import OutputError, UsageError
from agelens.evaluation.reports.plotting import drawable
from agelens.tables import SampleTable

FIGURES = {
    "ages", "ages_by_split", "age_kinds", "gender", "ethnicity", "gender_by_ethnicity",
    "ages_by_gender", "ages_by_ethnicity", "faces_per_subject", "missing_values",
}  # fmt: skip
HOSTILE = "<script>alert('x')</script> $\\frac{ & 亚洲\x07"


def labelled(rows: int = 60, **changes: object) -> SampleTable:
    random = np.random.default_rng(0)
    names = [f"{row}.png" for row in range(rows)]
    columns = {
        "sample_id": names,
        "dataset": "utkface",
        "path": names,
        "age_years": random.integers(0, 90, rows).astype(float),
        "age_kind": "estimated",
        "gender": random.choice(["female", "male"], rows),
        "ethnicity": random.choice(["White", "Black"], rows),
        "subject": random.choice(["a", "b", "c"], rows),
        "split": random.choice(["train", "test"], rows),
    }
    return SampleTable.from_columns(columns | changes)


def pngs(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.png")}


def test_a_full_table_gives_every_figure_and_the_page_shows_each(tmp_path):
    page = explore(labelled(), tmp_path / "out")
    assert pngs(page.parent) == FIGURES
    html = page.read_text()
    assert all(f'href="{name}.{kind}"' in html for name in FIGURES for kind in ("png", "csv"))
    assert pd.read_csv(page.parent / "gender.csv")["count"].sum() == len(labelled().frame)
    assert html.count('src="data:image/svg+xml;base64,') == len(FIGURES)
    for path in page.parent.glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 5, path.name


def test_empty_columns_give_a_sentence_and_no_figure(tmp_path):
    table = labelled(gender=None, ethnicity=None, subject=None, split=None)
    page = explore(table, tmp_path / "out")
    assert pngs(page.parent) == {"ages", "age_kinds", "missing_values"}
    html = page.read_text()
    for sentence in ("No row has a gender", "No row has an ethnicity", "No row names a subject"):
        assert sentence in html


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_tiny_tables_can_be_explored(tmp_path, rows):
    page = explore(labelled(rows), tmp_path / "out", root=tmp_path)
    assert ("ages" in pngs(page.parent)) == (rows > 0)


def test_text_of_the_table_never_becomes_markup(tmp_path):
    hostile = labelled(dataset=HOSTILE, ethnicity=HOSTILE, subject=HOSTILE, issue=HOSTILE)
    page = explore(hostile, tmp_path / "out", against=labelled(ethnicity=HOSTILE + "2"))
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert pngs(page.parent) == FIGURES


def test_twenty_categories_are_cut_off_and_counted(tmp_path):
    words = [f"word number {row % 30} which is long" for row in range(300)]
    page = explore(labelled(300, ethnicity=words), tmp_path / "out")
    assert "ethnicity" in pngs(page.parent)


def test_ages_without_spread_and_mistaken_ages_do_not_break_figures(tmp_path):
    explore(labelled(age_years=30.0), tmp_path / "same")
    years = [30.0] * 58 + [2014.0, -1.0]
    html = explore(labelled(age_years=years), tmp_path / "wild").read_text()
    assert '<tr><td>ages outside 0 to 120 (not drawn)</td><td class="number">2</td></tr>' in html


def test_two_tables_of_one_dataset_are_told_apart():
    assert [side.name for side in sides(labelled(), labelled(5))] == ["utkface (1)", "utkface (2)"]


def test_samples_are_shown_and_absent_ones_counted(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    random = np.random.default_rng(0)
    for row in range(0, 10, 2):
        Image.fromarray(random.integers(0, 255, (40, 30, 3), np.uint8)).save(root / f"{row}.png")
    (root / "1.png").write_bytes(b"no picture")
    page = explore(labelled(10), tmp_path / "out", root=root)
    html = page.read_text()
    assert "samples_1" in pngs(page.parent)
    assert "5 random rows" in html
    assert "4 missing" in html
    assert "1 unreadable" in html
    assert "outside any repository" in html


def test_without_any_picture_the_page_says_so(tmp_path):
    page = explore(labelled(3), tmp_path / "out", root=tmp_path / "nowhere")
    assert "no picture could be shown" in page.read_text()


def test_the_page_states_terms_noise_kinds_and_issues(tmp_path):
    html = explore(labelled(issue=["odd label"] + [None] * 59), tmp_path / "out").read_text()
    for text in ("non-commercial research", "Noise and bias", "made by a model", "odd label"):
        assert text in html


def test_an_unknown_dataset_is_allowed_nothing(tmp_path):
    html = explore(labelled(dataset="mine"), tmp_path / "out").read_text()
    assert "mine: not a dataset that agelens knows" in html


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, second = (explore(labelled(), tmp_path / name) for name in ("a", "b"))
    for path in first.parent.iterdir():
        assert path.read_bytes() == (second.parent / path.name).read_bytes()


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        explore(labelled(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        explore(labelled(), tmp_path / "file" / "out")


def test_text_for_matplotlib_is_shortened_and_spelled():
    assert drawable("$x$") == r"\$x\$"
    assert drawable("亚") == r"\u4e9a"
    assert drawable("é\n") == r"é\n"
    assert len(drawable("x" * 100)) == 28


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(20, 29, "20 to 29"), (70, None, "70 or more"), (None, 2, "up to 2"), (None, None, "no age")],
)
def test_ages_are_told_as_labelled(low, high, text):
    table = labelled(1, age_years=None, age_low=low, age_high=high)
    assert age_text(table.frame.iloc[0]) == text


def test_an_age_is_told_with_its_spread():
    assert age_text(labelled(1, age_years=4.5, age_std=1.25).frame.iloc[0]) == "4.5 ± 1.25"
