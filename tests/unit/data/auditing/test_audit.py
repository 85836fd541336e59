"""The whole audit over a small folder of generated pictures."""

import json

import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image

from agelens.data.auditing import audit, read_duplicates
from agelens.data.splits import Split, describe_leaks
from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable


def texture(seed: int) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (12, 12, 3), np.uint8))
    return coarse.resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path, head):
    folder = tmp_path / "root"
    folder.mkdir()
    Image.fromarray(head).save(folder / "head.png")
    Image.fromarray(head).save(folder / "head2.jpg", quality=60)
    Image.fromarray(head[:, ::-1].copy()).save(folder / "mirror.png")
    Image.fromarray(skimage.data.chelsea()).save(folder / "cat.png")
    (folder / "cat2.png").write_bytes((folder / "cat.png").read_bytes())
    Image.fromarray(skimage.data.chelsea()).save(folder / "cat3.bmp")
    for seed in range(3):
        texture(seed).save(folder / f"texture{seed}.png")
    for name in ("flat.png", "flat2.png"):
        Image.new("RGB", (64, 64 + len(name)), "grey").save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


def table_of(*paths: str, **columns: object) -> SampleTable:
    given = {"sample_id": [f"id {p}" for p in paths], "dataset": "d", "path": paths}
    given |= {"age_years": 30.0, "age_kind": "real", "gender": "female"}
    return SampleTable.from_columns(given | columns)


def all_of(root, *more: str) -> SampleTable:
    return table_of(*sorted(path.name for path in root.iterdir()), *more)


def test_every_fault_is_found_and_written(root, tmp_path):
    report = audit(all_of(root, "gone.jpg"), tmp_path / "out", root=root)
    assert report.statuses == {"ok": 11, "missing": 1, "unreadable": 1}
    assert report["absent"].rows["sample_id"].tolist() == ["id gone.jpg"]
    assert report["unreadable"].rows["sample_id"].tolist() == ["id broken.jpg"]
    assert not {"id head.png", "id head2.jpg"} & set(report["faceless"].rows["sample_id"])
    assert {"id texture0.png", "id flat.png"} <= set(report["faceless"].rows["sample_id"])
    groups = report.duplicates.groupby(report.duplicates).apply(lambda g: set(g.index)).tolist()
    assert groups == [
        {"id cat.png", "id cat2.png", "id cat3.bmp"},
        {"id head.png", "id head2.jpg"},
    ]
    alike = report["duplicates"].rows.set_index("sample_id")["alike"]
    assert alike.to_dict() == {
        "id cat.png": "bytes", "id cat2.png": "bytes", "id cat3.bmp": "pixels",
        "id head.png": "near", "id head2.jpg": "near",
    }  # fmt: skip


def test_the_files_say_what_the_report_says(root, tmp_path):
    report = audit(all_of(root, "gone.jpg"), tmp_path / "out", root=root, detector=None)
    assert json.loads((report.folder / "audit.json").read_text())["findings"] == report.counts
    rows = pd.read_csv(report.folder / "findings.csv")
    assert rows["kind"].value_counts().to_dict() == {k: n for k, n in report.counts.items() if n}
    pd.testing.assert_series_equal(
        read_duplicates(report.folder), report.duplicates, check_index_type=False
    )
    html = report.page.read_text()
    assert "outside any repository" in html
    assert 'src="duplicates.png"' in html
    assert (report.folder / "duplicates.png").is_file()


def test_the_groups_are_what_the_leak_check_takes(root, tmp_path):
    table = table_of("head.png", "head2.jpg", "cat.png")
    report = audit(table, tmp_path / "out", root=root, detector=None)
    split = Split.from_parts(
        "s", {"train": ["id head.png", "id cat.png"], "test": ["id head2.jpg"]}
    )
    leaks = describe_leaks(split, table, report.duplicates).leaks
    assert [(leak.kind, leak.shared) for leak in leaks] == [("near-duplicate group", 1)]


def test_mirrored_copies_are_found_when_asked(root, tmp_path):
    table = table_of("head.png", "mirror.png")
    assert not len(audit(table, tmp_path / "a", root=root, detector=None).duplicates)
    assert (
        len(audit(table, tmp_path / "b", root=root, detector=None, mirrored=True).duplicates) == 2
    )


def test_what_the_other_table_shares_is_found(root, tmp_path):
    mine = table_of("head.png", "cat.png", "texture0.png")
    theirs = table_of("head2.jpg", "cat2.png", "texture1.png", dataset="other")
    report = audit(mine, tmp_path / "out", root=root, detector=None, against=(theirs, root))
    rows = report["shared"].rows
    assert rows.to_dict("records") == [
        {"sample_id": "id head.png", "alike": "near", "detail": "other: head2.jpg"},
        {"sample_id": "id cat.png", "alike": "bytes", "detail": "other: cat2.png"},
    ]


def test_flat_pictures_are_duplicates_only_where_their_pixels_are(root, tmp_path):
    (root / "flat3.png").write_bytes((root / "flat.png").read_bytes())
    table = table_of("flat.png", "flat2.png", "flat3.png")
    report = audit(table, tmp_path / "out", root=root, detector=None)
    assert set(report.duplicates.index) == {"id flat.png", "id flat3.png"}


def test_the_model_judges_the_labelled_face(root, tmp_path, estimator, head):
    wide = np.concatenate([np.zeros_like(head), head], axis=1)
    Image.fromarray(wide).save(root / "wide.png")
    years = estimator.estimate(root / "head.png").faces[0].estimate_years
    table = table_of("head.png", "wide.png", "cat.png", "gone.png", age_years=[years, 99, 5, 5])
    report = audit(table, tmp_path / "out", root=root, model=estimator)
    rows = report["disagreement"].rows
    assert rows["sample_id"].tolist()[0] == "id wide.png"
    assert rows["error_years"].iloc[0] < -20
    assert rows.set_index("sample_id")["error_years"]["id head.png"] == pytest.approx(0)
    assert "id cat.png" in set(report["faceless"].rows["sample_id"])
    assert (report.folder / "disagreement.png").is_file()


def test_rows_that_share_a_picture_share_its_group(root, tmp_path):
    table = table_of("head.png", "head.png", sample_id=["a", "b"])
    report = audit(table, tmp_path / "out", root=root, detector=None)
    assert report.duplicates.to_dict() == {"a": 0, "b": 0}


def test_text_of_the_table_never_becomes_markup(root, tmp_path):
    table = table_of("cat.png", "cat2.png", issue="<script>x</script>", ethnicity="$\\frac{")
    html = audit(table, tmp_path / "out", root=root, detector=None).page.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("paths", [(), ("cat.png",)], ids=["empty", "one row"])
def test_tiny_tables_can_be_audited(root, tmp_path, paths):
    report = audit(table_of(*paths), tmp_path / "out", root=root, detector=None)
    assert report.samples == len(paths)
    assert not any(report.counts.values())
    assert read_duplicates(report.folder).empty


def test_a_wrong_root_and_a_full_folder_are_refused(root, tmp_path):
    with pytest.raises(UsageError, match="none of the table's"):
        audit(table_of("a.jpg"), tmp_path / "out", root=root)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="not empty"):
        audit(table_of("cat.png"), root, root=root)


def test_no_duplicates_to_read_is_told(tmp_path):
    with pytest.raises(TableError, match="cannot be read as near-duplicates"):
        read_duplicates(tmp_path)
