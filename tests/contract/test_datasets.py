"""Every dataset in the registry reads a fake tree written in its owner's layout."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from tests.contract import dataset_trees as trees

from agelens.data.datasets import DATASETS, dataset_reader, pairs_reader
from agelens.data.datasets.fgnet import read_points
from agelens.data.datasets.ms1mv3 import iter_images
from agelens.errors import DatasetError, UnknownNameError
from agelens.tables import AGE_KINDS, COLUMNS, LANDMARKS, read_table, write_table

NAMES = sorted(DATASETS)
Frame = Callable[..., pd.DataFrame]


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    """The table of a dataset's fake tree, rows by base name of the path."""

    def read(name: str, *, by: str = "path", **options: object) -> pd.DataFrame:
        root = tmp_path / "root"
        if not root.exists():
            root.mkdir()
            trees.TREES[name](root)
        table = dataset_reader(name)(root, **options).frame
        return table.set_index(table[by].str.rpartition("/")[2])

    return read


def issue(row: pd.Series) -> str:
    return "" if pd.isna(row["issue"]) else str(row["issue"])


# Every member


def test_every_dataset_has_a_fake_tree() -> None:
    assert sorted(trees.TREES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_reads_its_owners_layout(name: str, tmp_path: Path) -> None:
    table = dataset_reader(name)(trees.TREES[name](tmp_path)).frame
    assert list(table.columns) == list(COLUMNS)
    assert table["sample_id"].is_unique
    assert table["issue"].isna().any(), "a tree holds sound rows too"
    whole = table[~table["issue"].astype(object).fillna("").str.contains("file absent|not a rel")]
    if name != "ms1mv3":  # its pictures are inside one file
        assert all((tmp_path / path).is_file() for path in whole["path"])
    assert set(table["age_kind"].dropna()) <= set(AGE_KINDS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_read_table_survives_the_disk(name: str, kind: str, tmp_path: Path) -> None:
    table = dataset_reader(name)(trees.TREES[name](tmp_path))
    write_table(table, tmp_path / f"table.{kind}")
    pd.testing.assert_frame_equal(read_table(tmp_path / f"table.{kind}").frame, table.frame)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_root_says_what_it_looked_for_and_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.txt").write_text("")
    with pytest.raises(DatasetError, match=r"no .* found in .*: 'holiday'"):
        dataset_reader(name)(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_root_that_is_absent_or_a_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        dataset_reader(name)(tmp_path / "gone")
    archive = tmp_path / "download.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(DatasetError, match="is a file; extract"):
        dataset_reader(name)(archive)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ms1mv3"}))
def test_labels_without_pictures_are_an_error(name: str, tmp_path: Path) -> None:
    trees.TREES[name](tmp_path)
    for picture in tmp_path.rglob("*.[jJ][pP][gG]"):
        picture.unlink()
    with pytest.raises(DatasetError, match=r"no \S*\.jpg.* file in"):
        dataset_reader(name)(tmp_path)


NEEDS_LISTS = (
    *("megaage", "megaage-asian", "imdb", "wiki", "imdb-wiki", "imdb-clean", "appa-real"),
    *("lap2015", "lap2016", "fairface", "adience", "lagenda"),
)


@pytest.mark.parametrize("name", NEEDS_LISTS)
def test_pictures_without_labels_are_an_error(name: str, tmp_path: Path) -> None:
    trees.TREES[name](tmp_path)
    for suffix in ("csv", "txt", "mat"):
        for labels in tmp_path.rglob(f"*.{suffix}"):
            labels.unlink()
    with pytest.raises(DatasetError, match=r"no file .*(csv|txt|mat)"):
        dataset_reader(name)(tmp_path)


@pytest.mark.parametrize(
    ("name", "path", "column"),
    [
        ("morph2", "MORPH_nonCommercial/morph_2008_nonCommercial.csv", "race"),
        ("imdb-clean", "csvs/imdb_valid_new_1024.csv", "gender"),
        ("appa-real", "appa-real-release/gt_avg_test.csv", "real_age"),
        ("lap2016", "test_gt.csv", "stdv"),
        ("fairface", "fairface_label_val.csv", "race"),
        ("adience", "fold_3_data.txt", "face_id"),
        ("lagenda", "LAGENDA/lagenda_annotation.csv", "face_x0"),
    ],
)
def test_a_csv_without_a_column_names_it(name: str, path: str, column: str, tmp_path: Path) -> None:
    trees.TREES[name](tmp_path)
    text = (tmp_path / path).read_text(encoding="utf-8-sig")
    (tmp_path / path).write_text(text.replace(column, "renamed", 1))
    with pytest.raises(DatasetError, match=rf"no column {column}; found: .*renamed"):
        dataset_reader(name)(tmp_path)


@pytest.mark.parametrize("name", ["imdb", "wiki", "cacd2000"])
def test_a_mat_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    trees.TREES[name](tmp_path)
    (mat,) = tmp_path.rglob("*.mat")
    whole = mat.read_bytes()
    version_73 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    mat.write_bytes(version_73 + bytes(400))
    with pytest.raises(DatasetError, match=r"MATLAB 7\.3 .* version 5"):
        dataset_reader(name)(tmp_path)
    mat.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"damaged or no \.mat"):
        dataset_reader(name)(tmp_path)
    savemat(mat, {"other": {"age": [1]}})
    with pytest.raises(DatasetError, match="no struct"):
        dataset_reader(name)(tmp_path)


def test_an_unknown_dataset_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'utkface'\?.*agedb"):
        dataset_reader("utkfac")
    with pytest.raises(UnknownNameError, match="cacd-vs, calfw, lfw"):
        pairs_reader("agedb")


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_states_terms_labels_and_noise(name: str) -> None:
    text = str(dataset_reader(name).__doc__)
    assert "terms" in text.lower()
    assert "labels" in text.lower()
    assert "noise" in text.lower()


# One dataset's traps


def test_agedb_repairs_names_for_grouping_only(frame: Frame) -> None:
    table = frame("agedb")
    people = table["subject"]
    assert people["1_WillSmith _45_m.jpg"] == "WillSmith"
    assert people["2_RicardoMontalb\u0430n_52_m.JPG"] == "RicardoMontalban"
    assert people["3_RicardoMontalb\u00e1n_60_m.jpg"] == "RicardoMontalban"
    assert people["4_St\u0412phaneAudran_41_f.jpg"] == "StephaneAudran"
    assert people["6_Jean_Claude_30_m.jpg"] == "Jean_Claude"
    assert table.loc["0_MariaCallas_35_f.jpg", ["age_years", "gender"]].tolist() == [35, "female"]
    assert "name is not like" in issue(table.loc["cover.jpg"])
    raw = table.loc["7_Myl\ufffdneDemongeot_25_f.jpg"]
    assert raw["subject"] == "MyleneDemongeot"
    assert "UTF-8" in issue(raw)


@pytest.mark.parametrize("name", ["afad-full", "afad-lite"])
def test_afad_reads_folders_and_its_list(frame: Frame, name: str) -> None:
    table = frame(name)
    assert len(table) == 5
    assert table.loc["638660-1.jpg", ["age_years", "gender"]].tolist() == [15, "male"]
    assert table.loc["671487-0.jpg", "gender"] == "female"
    assert table.loc["1-0.jpg", "age_years"] == 75
    assert table.loc["638660-2.JPG", "subject"] == table.loc["638660-1.jpg", "subject"]
    assert issue(table.loc["99-0.jpg"]) == "file absent"


def test_cacd2000_joins_names_after_nfc(frame: Frame) -> None:
    table = frame("cacd2000")
    renee = table.loc["42_Rene\u0301e_Zellweger_0004.jpg"]
    assert renee[["age_years", "photo_year", "split"]].tolist() == [42, 2011, "valid"]
    assert renee["subject"] == "Ren\u00e9e_Zellweger"
    assert table.loc["54_Bill_Pullman_0006.jpg", "split"] == "train"
    grady = table.loc["46_Gail_O'Grady_0007.jpg"]
    assert grady["split"] == "test"
    assert "says age 47" in issue(grady)
    assert issue(table.loc["30_Ann_Absent_0001.jpg"]) == "file absent"
    assert table.loc["30_Ann_Absent_0001.jpg", "subject"] == "Ann_Absent"


def test_cacd2000_reads_without_its_mat(tmp_path: Path) -> None:
    root = trees.cacd2000(tmp_path)
    (root / "celebrity2000_meta.mat").unlink()
    table = dataset_reader("cacd2000")(root).frame
    assert len(table) == 4
    assert table["split"].isna().all()
    assert table["issue"].isna().all()


def test_cacd_vs_pairs_follow_the_owners_rule(tmp_path: Path) -> None:
    pairs = pairs_reader("cacd-vs")(trees.cacd_vs(tmp_path))
    assert len(pairs) == 4000
    assert pairs.frame["same"].sum() == 2000
    there = pairs.usable
    assert there["path_a"].str[-10:].tolist() == [
        *("0000_0.jpg", "0199_0.jpg", "0200_0.jpg", "0399_0.jpg", "0400_0.jpg")
    ]
    assert there["same"].tolist() == [True, True, False, False, True]
    assert there["fold"].tolist() == [0, 0, 0, 0, 1]
    assert len(pairs.missing) == 8000 - 11
    assert "CACD_VS/3999_1.jpg" in pairs.missing


def test_morph_takes_gender_from_the_name(frame: Frame) -> None:
    table = frame("morph2")
    first = table.loc["009055_1M54.JPG"]
    assert first[["age_years", "gender", "ethnicity", "photo_year", "subject"]].tolist() == [
        *(54, "male", "Black", 2004, "009055")
    ]
    assert table.loc["134083_05M41.jpg", "gender"] == "male"
    assert "10 fields, not 11" in issue(table.loc["000001_00F16.JPG"])
    assert pd.isna(table.loc["000001_00F16.JPG", "ethnicity"])
    assert pd.isna(table.loc["000002_0M20.JPG", "photo_year"]), "two digits are no year"
    assert "not in morph_2008" in issue(table.loc["000003_01F30.JPG"])
    assert issue(table.loc["000004_0M20.JPG"]) == "file absent"


@pytest.mark.parametrize("name", ["megaage", "megaage-asian"])
def test_megaage_reads_parallel_lists(frame: Frame, name: str) -> None:
    table = frame(name, by="sample_id")
    train = table[table["path"].str.contains("/train/")]
    assert train["age_years"].tolist()[:2] == [25, 31]
    assert math.isnan(train.loc["3.JPG", "age_years"]), "-1 is unknown"
    assert train["age_std"].tolist()[:2] == [0, 5]
    assert "posterior" in issue(train.loc["3.JPG"])
    assert issue(train.loc["4.jpg"]) == "file absent"
    assert issue(train.loc["5.jpg"]) == "no label"
    test = table[table["split"] == "test"]
    assert "'old' is no number" in issue(test.iloc[1])
    assert table["gender"].isna().all()


def test_megaage_refuses_lists_that_are_not_parallel(tmp_path: Path) -> None:
    root = trees.megaage(tmp_path)
    trees.write(root / "megaage" / "list" / "train_age.txt", ["25", "31"])
    with pytest.raises(DatasetError, match="4 names, 2 ages"):
        dataset_reader("megaage")(root)


@pytest.mark.parametrize("name", ["imdb", "wiki"])
def test_imdb_wiki_dates_by_the_customary_formula(frame: Frame, name: str) -> None:
    table = frame(name).reset_index(drop=True)
    ages = table["age_years"].tolist()
    assert ages[:7] == [28, 59, -21, 109, 30, 30, 2008]
    assert np.isnan(ages[7:]).all()
    assert table["gender"].astype(object).tolist()[:2] == ["male", "female"]
    assert pd.isna(table.loc[2, "gender"])
    assert table.index[table["issue"].isna()].tolist() == [0, 1]
    told = [issue(row) for _, row in table.iterrows()]
    assert told[2] == "age_years -21 is outside 0 to 100"
    assert told[4] == "no face found by the owners"
    assert told[5] == "face score below 1; second face in the picture"
    assert "unknown" in told[7]
    assert told[8].endswith("file absent")
    assert table["subject"].nunique() == 9
    assert table["box_x1"].isna().all(), "the box does not fit a crop"


def test_imdb_boxes_count_from_zero_on_whole_pictures(frame: Frame) -> None:
    table = frame("imdb", crops=False).reset_index(drop=True)
    assert table["path"].str.startswith("imdb/").all()
    assert table.loc[0, ["box_x1", "box_y1", "box_x2", "box_y2"]].tolist() == [10, 20, 110, 120]
    assert table.loc[8, ["box_x1", "box_x2"]].isna().all()


def test_imdb_root_may_be_the_crop_folder_itself(tmp_path: Path) -> None:
    root = trees.imdb(tmp_path) / "imdb_crop"
    assert dataset_reader("imdb")(root).frame["path"].iloc[0].startswith("00/nm")


def test_imdb_wiki_holds_both_halves(frame: Frame) -> None:
    assert frame("imdb-wiki")["dataset"].value_counts().to_dict() == {"imdb": 9, "wiki": 9}


def test_imdb_clean_keeps_boxes_and_splits(frame: Frame) -> None:
    table = frame("imdb-clean").reset_index(drop=True)
    assert table["split"].tolist() == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    first = table.iloc[0]
    assert first[["box_x1", "box_y1", "box_x2", "box_y2"]].tolist() == [31, 39, 61, 77]
    assert first[["subject", "photo_year", "gender"]].tolist() == ["nm2679438", 2009, "male"]
    assert issue(table.iloc[1]) == "file absent; box is empty"


def test_imdb_clean_on_whole_pictures_ignores_the_unlabelled(frame: Frame) -> None:
    table = frame("imdb-clean", crops=False)
    assert len(table) == 6
    assert table["path"].str.startswith("data/imdb/").all()


def test_appa_real_has_two_ages(frame: Frame) -> None:
    seen = frame("appa-real")
    first = seen.loc["000000.jpg_face.jpg"]
    assert first[["age_years", "age_std", "age_kind", "gender", "ethnicity"]].tolist() == [
        *(5.5, 1.25, "apparent", "female", "asian")
    ]
    assert issue(seen.loc["000001.jpg_face.jpg"]) == "in the ignore list; age_std is 0"
    assert issue(seen.loc["100077.jpg_face.jpg"]) == "no label"
    real = frame("appa-real", age="real", crops=False)
    assert real.loc["000000.jpg", ["age_years", "age_kind"]].tolist() == [4, "real"]
    assert real["age_std"].isna().all()
    assert len(real) == len(seen)


def test_appa_real_knows_two_kinds_of_age_only(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="apparent, real"):
        dataset_reader("appa-real")(tmp_path, age="biological")


def test_lap2015_finds_out_its_delimiter(frame: Frame) -> None:
    table = frame("lap2015")
    assert table.loc["image_1.jpg", ["age_years", "age_std", "split"]].tolist() == [
        *(21, 4.026539, "train")
    ]
    assert issue(table.loc["image_2.JPG"]) == "age_std is 0"
    assert table.loc["image_2.JPG", "age_std"] == 0
    assert issue(table.loc["image_4.jpg"]) == "file absent"
    assert issue(table.loc["image_9.jpg"]) == "no label"


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_lap2015_accepts_other_delimiters_and_a_header(tmp_path: Path, delimiter: str) -> None:
    root = trees.lap2015(tmp_path)
    rows = [("image", "mean", "stdv"), ("image_1.jpg", "21", "4"), ("image_2.jpg", "35", "3")]
    trees.write(root / "Train.csv", [delimiter.join(row) for row in rows])
    table = dataset_reader("lap2015")(root).frame
    assert table["age_years"].tolist()[:2] == [21, 35]


def test_lap2016_reads_all_three_parts(frame: Frame) -> None:
    assert frame("lap2016")["split"].tolist() == ["train", "valid", "test"]


def test_utkface_repairs_the_known_names(frame: Frame) -> None:
    table = frame("utkface")
    labels = {
        name: (row["age_years"], row["gender"], row["ethnicity"])
        for name, row in table[table["issue"].isna()].astype(object).iterrows()
    }
    chip = ".jpg.chip.jpg"
    assert labels["61_1_20170109142408075" + chip] == (61, "female", "Black")
    assert labels["61_3_20170109150557335" + chip] == (61, "female", "Indian")
    assert labels["39_1_20170116174525125" + chip] == (39, "male", "Black")
    assert labels["14_0_0_2017011022340900" + chip] == (14, "male", "White")
    assert labels["38_0_1_201701162330572788" + chip] == (38, "male", "Black")
    assert labels["28_1_2_201701161846515488" + chip] == (28, "female", "Asian")
    assert labels["24_0_1_20170116220224657 " + chip] == (24, "male", "Black")
    assert labels["55_0_0_20170116232725357jpg.chip.jpg"] == (55, "male", "White")
    assert labels["1_1_4_20161219140623097" + chip] == (1, "female", "Others")
    assert len(labels) == 10
    assert "name is not like" in issue(table.loc["20_1_20170101000000000" + chip])
    assert "'3' has no meaning" in issue(table.loc["30_3_0_20170101000000000" + chip])
    assert len(table) == 12, "a whole picture is no chip"


def test_utkface_whole_pictures(frame: Frame) -> None:
    table = frame("utkface-wild")
    assert len(table) == 4
    assert table["issue"].isna().all()
    row = table.loc["53__0_20170116184028385.jpg"]
    assert row[["age_years", "gender", "ethnicity"]].tolist() == [53, "female", "White"]


def test_utkface_whole_pictures_need_every_part(tmp_path: Path) -> None:
    root = trees.utkface_wild(tmp_path)
    shutil.rmtree(root / "part2")
    with pytest.raises(DatasetError, match="no folder part2"):
        dataset_reader("utkface-wild")(root)


def test_fgnet_mixes_cases_and_has_points(frame: Frame) -> None:
    table = frame("fgnet")
    assert table["age_years"].to_dict() == {
        **{"001A05.JPG": 5, "001a02.JPG": 2, "004A30.jpg": 30},
        **{"009A16b.jpg": 16, "010A07a.jpg": 7, "080A69.JPG": 69},
    }
    assert table["subject"].nunique() == 5
    five = table.loc["001a02.JPG", list(LANDMARKS)].to_numpy(dtype=float).reshape(5, 2)
    assert five[:, 0].tolist() == [31.5, 36.5, 67.5, 48.5, 54.5]
    assert five[:, 1].tolist() == [131, 136, 167, 148, 154]
    assert issue(table.loc["004A30.jpg"]) == "points file is damaged"
    assert table.loc["080A69.JPG", list(LANDMARKS)].isna().all()
    assert table["gender"].isna().all()


def test_fgnet_points_file(tmp_path: Path) -> None:
    root = trees.fgnet(tmp_path)
    points = read_points(root / "FGNET" / "points" / "001a02.pts")
    assert points.shape == (68, 2)
    assert points[67].tolist() == [67.5, 167]
    with pytest.raises(DatasetError, match="expected 68 points, found 60"):
        read_points(root / "FGNET" / "points" / "004a30.pts")


def test_fairface_accepts_exact_classes_only(frame: Frame) -> None:
    table = frame("fairface").reset_index(drop=True)
    bounds = table[["age_low", "age_high"]].to_numpy()[:6].tolist()
    assert bounds[:5] == [[0, 2], [3, 9], [10, 19], [20, 29], [60, 69]]
    assert bounds[5][0] == 70
    assert math.isnan(bounds[5][1])
    assert table["age_years"].isna().all()
    assert "'9-Mar' is no class" in issue(table.iloc[6])
    assert "'Oct-19' is no class" in issue(table.iloc[7])
    assert table["split"].astype(object).tolist()[7:10] == ["train", "valid", "valid"]
    assert issue(table.iloc[9]) == "file absent"
    assert issue(table.iloc[10]) == "no label"
    assert table.loc[8, "ethnicity"] == "East Asian"


def test_fairface_without_the_archives_folder(tmp_path: Path) -> None:
    root = trees.fairface(tmp_path)
    for part in ("train", "val"):
        shutil.move(root / "fairface-img-margin025-trainval" / part, root / part)
    (root / "fairface-img-margin025-trainval").rename(root / "emptied")
    table = dataset_reader("fairface")(root).frame
    assert table["path"].iloc[0] == "train/1.jpg"


def test_adience_cleans_its_classes(frame: Frame) -> None:
    table = frame("adience").reset_index(drop=True)
    assert len(table) == 51
    second = table[table["fold"] == 1].reset_index(drop=True)
    low_high = second[["age_low", "age_high"]].to_numpy().tolist()
    known = [[25, 32], [0, 2], [8, 12], [25, 32], [25, 32], [8, 12], [60, 100]]
    assert [low_high[row] for row in (0, 1, 2, 4, 5, 6, 7)] == known
    assert np.isnan([low_high[row] for row in (3, 8, 9)]).all()
    assert "'99' is no class" in issue(second.iloc[8])
    assert second["issue"].notna().sum() == 1
    assert second["gender"].astype(object).where(second["gender"].notna(), "").tolist() == [
        *("female", "male", "", "", "male", "female", "male", "female", "male", "female")
    ]
    assert table.groupby("fold")["subject"].nunique().eq(1).all()
    assert issue(table.iloc[0]) == "file absent"
    assert issue(table.iloc[50]) == "duplicate path"
    assert issue(table.iloc[40]) == "", "the first of equal rows is sound"
    faces = frame("adience", aligned=False)
    assert faces["path"].str.contains("/coarse_tilt_aligned_face").all()


def test_adience_clean_up_gives_the_published_class_sizes() -> None:
    from agelens.data.datasets.adience import _CLASS_OF

    # The strings seen and their counts, before duplicate paths are dropped.
    seen = "25,32:4950 0,2:2519 38,43:2300 4,6:2163 8,12:2132 15,20:1655 60,100:875 48,53:830"
    seen += " 35:294 13:169 22:149 34:105 23:96 45:88 55:77 27,32:77 25,23:72 36:57 38,42:50"
    seen += " 57:24 3:18 29:12 38,48:6 58:5 2:3 32:3 56:2 8,23:1 42:1 46:1"
    sizes: dict[tuple[float, float], int] = {}
    for entry in seen.split():
        ages, count = entry.split(":")
        bounds = _CLASS_OF[tuple(map(int, ages.split(",")))]
        sizes[bounds] = sizes.get(bounds, 0) + int(count)
    published = [2509, 2140, 2293, 1791, 5589, 2490, 909, 901]
    assert sum(sizes.values()) == 19487 - 753
    dropped = np.array([sizes[key] for key in sorted(sizes)]) - published
    assert (dropped >= 0).all()
    assert dropped.sum() <= 19487 - 19370, "paths listed twice"


def test_lagenda_keeps_people_without_an_age(frame: Frame) -> None:
    table = frame("lagenda").reset_index(drop=True)
    assert table["path"].nunique() == 3
    first, other, classed, absent = (table.iloc[row] for row in range(4))
    assert first[["age_years", "gender", "box_x1", "box_y2"]].tolist() == [31.4, "male", 10, 140]
    assert other[["age_years", "gender", "box_x1", "age_kind"]].isna().all()
    assert other["sample_id"].endswith("a.jpg#2")
    assert classed[["age_low", "age_high"]].tolist() == [20, 29]
    assert math.isnan(classed["age_years"])
    assert issue(absent) == "file absent"
    assert issue(first) == issue(other) == ""


def test_all_age_faces_joins_lists_with_and_without_suffix(frame: Frame) -> None:
    table = frame("all-age-faces")
    assert table["age_years"].tolist() == [2, 80, 30, 5, 10]
    assert table["gender"].tolist() == ["female", "male", "male", "male", "female"]
    assert table["split"].astype(object).tolist()[:3] == ["train", "valid", "train"]
    assert "contradicts" in issue(table.loc["07380A80.jpg"])
    assert pd.isna(table.loc["13321A05.jpg", "split"])
    assert issue(table.loc["00005A10.jpg"]) == "file absent"
    aligned = frame("all-age-faces", aligned=True)
    assert aligned["path"].str.contains("/aglined faces/").all()


def test_lfw_pairs(tmp_path: Path) -> None:
    root = trees.lfw(tmp_path)
    pairs = pairs_reader("lfw")(root)
    assert pairs.frame["same"].tolist() == [True, True, False, False] * 2
    assert pairs.frame["fold"].tolist() == [0] * 4 + [1] * 4
    assert pairs.frame["path_b"].iloc[0] == "lfw/Abel_Pacheco/Abel_Pacheco_0004.jpg"
    assert pairs.frame["path_b"].iloc[2] == "lfw/Bo_Yi/Bo_Yi_0002.jpg"
    assert pairs.missing == ("lfw/Gone/Gone_0012.jpg",)
    assert len(pairs.usable) == 6
    view_1 = trees.write(root / "pairsDevTest.txt", ["1", "Bo_Yi\t1\t2", "AJ_Cook\t1\tBo_Yi\t1"])
    assert pairs_reader("lfw")(root, pairs=view_1).frame["fold"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["2\t2", "Bo_Yi\t1\t2"], "announces 8 pairs, 1 lines"),
        (["Bo_Yi\t1\t2"], "expected counts"),
        (["1", "Bo_Yi\t1\t2", "Bo_Yi\tone\tAJ_Cook\t1"], "expected 'Name 1 2'"),
    ],
)
def test_lfw_refuses_another_kind_of_list(tmp_path: Path, lines: list[str], message: str) -> None:
    root = trees.lfw(tmp_path)
    trees.write(root / "pairs.txt", lines)
    with pytest.raises(DatasetError, match=message):
        pairs_reader("lfw")(root)


def test_calfw_pairs_take_two_lines(tmp_path: Path) -> None:
    root = trees.calfw(tmp_path)
    pairs = pairs_reader("calfw")(root)
    assert pairs.frame["same"].tolist() == [True] * 10 + [False] * 10
    assert pairs.frame["fold"].tolist() == [*range(10), *range(10)]
    assert pairs.missing == ("calfw/aligned images/Gone_0001.jpg",)
    assert pairs.frame["path_b"].iloc[0] == "calfw/aligned images/Carl_Reiner_0002.jpg"
    trees.write(root / "calfw" / "pairs_CALFW.txt", ["a.jpg 1", "b.jpg 2"])
    with pytest.raises(DatasetError, match="two lines are a pair"):
        pairs_reader("calfw")(root)


def test_ms1mv3_reads_records_and_extracts_them(tmp_path: Path) -> None:
    root = trees.ms1mv3(tmp_path)
    table = dataset_reader("ms1mv3")(root).frame
    assert table["path"].tolist() == [
        *("000000/00000001.jpg", "000000/00000002.jpg", "000001/00000003.jpg")
    ]
    assert table["subject"].tolist() == ["000000", "000000", "000001"]
    assert dict(zip(table["path"], trees.MS1MV3_JPEGS.values(), strict=True)) == dict(
        iter_images(root)
    )


def test_ms1mv3_without_a_header_uses_every_record(tmp_path: Path) -> None:
    records = {key: trees.record([float(key % 2)], b"jpg") for key in (7, 3, 8)}
    trees.write_records(tmp_path, records)
    table = dataset_reader("ms1mv3")(tmp_path).frame
    assert table["path"].tolist() == [
        *("000001/00000007.jpg", "000001/00000003.jpg", "000000/00000008.jpg")
    ]


def test_ms1mv3_cut_off_says_so(tmp_path: Path) -> None:
    root = trees.ms1mv3(tmp_path)
    rec = root / "ms1m-retinaface-t1" / "train.rec"
    rec.write_bytes(rec.read_bytes()[:60])
    with pytest.raises(DatasetError, match="cut off"):
        dataset_reader("ms1mv3")(root)
    rec.unlink()
    with pytest.raises(DatasetError, match=r"no file .*train\.rec"):
        dataset_reader("ms1mv3")(root)


def test_ms1mv3_folders_carry_another_models_age(frame: Frame) -> None:
    table = frame("ms1mv3-folders")
    assert table.loc["05179510_age_39.jpg", ["age_years", "age_kind"]].tolist() == [
        *(39, "estimated")
    ]
    assert math.isnan(table.loc["05179509.jpg", "age_years"])
    assert pd.isna(table.loc["05179509.jpg", "age_kind"])
    assert table["subject"].nunique() == 2


# Real pictures


@pytest.mark.real_data
def test_real_utkface(real_data: Path) -> None:
    table = dataset_reader("utkface")(real_data / "utkface").frame
    assert len(table) == 7809
    assert table["issue"].isna().all()
    assert table["age_years"].between(0, 116).all()
    assert table["gender"].notna().all()
    assert table["ethnicity"].notna().all()


@pytest.mark.real_data
def test_real_fgnet(real_data: Path) -> None:
    table = dataset_reader("fgnet")(real_data / "fgnet").frame
    assert len(table) == 508
    assert table["issue"].isna().all()
    assert sorted(table["subject"].unique()) == [f"{number:03d}" for number in range(1, 42)]
    points = table[list(LANDMARKS)].to_numpy(dtype=float).reshape(-1, 5, 2)
    assert np.isfinite(points).all()
    left, right, nose, mouth_left, mouth_right = points.transpose(1, 0, 2)
    assert (left[:, 0] < right[:, 0]).all()
    assert (mouth_left[:, 0] < mouth_right[:, 0]).all()
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    down = mouth - eyes
    along = ((nose - eyes) * down).sum(axis=1) / (down**2).sum(axis=1)
    assert ((along > 0.1) & (along < 0.95)).all(), "the nose tip lies between eyes and mouth"


@pytest.mark.real_data
def test_real_lfw(real_data: Path) -> None:
    table = dataset_reader("lfw")(real_data / "lfw").frame
    assert len(table) == 5899
    assert table["subject"].nunique() == 1155
    assert table["issue"].isna().all()
    assert (table.groupby("subject", observed=True).size() >= 2).all()
