from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.data.formats.ldl import ROTATED_BOX, write_ldl
from agelens.data.store import ChipStore, prepare
from agelens.errors import OutputError, UnknownNameError, UsageError
from agelens.imaging.align import SimilarityAligner, template_named
from agelens.imaging.detectors import DETECTORS, detector_class
from agelens.imaging.rotate_crop import RotateCropAligner, find_rotated_box
from agelens.records import Face
from agelens.tables import BOX, LANDMARKS, SampleTable, read_table, write_table

STATUSES = [*["ok"] * 7, "no_face", "unreadable", "missing", "ok"]


@pytest.fixture(scope="module")
def detector():
    return detector_class("retinaface")()


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_row_has_a_status_in_order(table, photos, tmp_path, detector):
    steps = []
    report = prepare(
        table,
        tmp_path / "store",
        root=photos,
        detector=detector,
        rows_per_shard=4,
        on_progress=lambda done, rows: steps.append((done, rows)),
    )
    assert (report.rows, report.reused_rows) == (11, 0)
    assert report.statuses == {"ok": 8, "no_face": 1, "missing": 1, "unreadable": 1}
    assert steps == [(4, 11), (8, 11), (11, 11)]
    store = ChipStore.open(report.folder)
    assert store.outcomes["status"].tolist() == STATUSES
    assert store.has_chip.tolist() == [status == "ok" for status in STATUSES]
    assert store.outcomes["message"][9] == "absent.jpg: no such file; check the name and the " + (
        "folder it is looked for in"
    )
    assert store.table.frame["sample_id"].tolist() == table.frame["sample_id"].tolist()
    assert store.table.frame["age_years"].tolist() == table.frame["age_years"].tolist()


def test_a_face_that_is_cut_off_or_covered_is_said(make_table, tmp_path, detector, head):
    Image.fromarray(head[:, 45:]).save(tmp_path / "cut.png")
    Image.fromarray(head).save(tmp_path / "whole.png")
    (face,) = detector.detect(head)
    masked, (mouth, eyes) = head.copy(), (face.landmarks[3:, 1], face.landmarks[:2, 1])
    masked[int(eyes.mean() + mouth.mean()) // 2 :] = 200
    Image.fromarray(masked).save(tmp_path / "masked.png")
    table = make_table(["cut.png", "whole.png", "masked.png"])
    prepare(table, tmp_path / "store", root=tmp_path, detector=detector)
    outcomes = ChipStore.open(tmp_path / "store").outcomes
    assert outcomes["status"].tolist() == ["ok", "ok", "ok"]
    assert outcomes["message"][2] == "the mouth may be covered"
    assert outcomes["message"][0].startswith("only ")
    assert outcomes["message"][1] == ""


def test_faces_are_written_back(table, photos, tmp_path, detector, portrait):
    prepare(table, tmp_path / "store", root=photos, detector=detector)
    frame = ChipStore.open(tmp_path / "store").table.frame
    (face,) = detector.detect(portrait)
    zoe = frame.iloc[10]
    assert np.allclose(zoe[list(BOX)].astype(float), face.box_xyxy, atol=1e-4)
    assert np.allclose(zoe[list(LANDMARKS)].astype(float), face.landmarks.ravel(), atol=1e-4)
    assert zoe["roll_degrees"] == pytest.approx(face.roll_degrees, abs=1e-4)
    assert frame.loc[[7, 8, 9], [*BOX, "roll_degrees", *LANDMARKS]].isna().all(axis=None)


def test_chips_are_the_aligner_s(make_table, photos, tmp_path, detector, portrait):
    options = {"template": "arcface-112", "size": 80, "margin": 0.25, "encoding": "png"}
    table = make_table(["under/Zoë's.png"])
    prepare(table, tmp_path / "store", root=photos, detector=detector, **options)
    (face,) = detector.detect(portrait)
    aligner = SimilarityAligner(template_named("arcface-112"), 80, 0.25)
    chip = ChipStore.open(tmp_path / "store")[0]
    assert np.array_equal(chip, aligner.align(portrait, face).rgb)


def test_the_labelled_face_of_a_pair(make_table, photos, tmp_path, detector):
    nan = np.nan
    boxes = np.array([[330, 70, 440, 190], [nan] * 4, [0, 0, 20, 20]], dtype=float)
    table = make_table(["pair.png"] * 3, **dict(zip(BOX, boxes.T, strict=True)))
    report = prepare(table, tmp_path / "store", root=photos, detector=detector)
    assert report.statuses == {"ok": 2, "no_face": 1}
    store = ChipStore.open(report.folder)
    small, large, nobody = (row for _, row in store.table.frame.iterrows())
    assert small["box_x1"] > 320
    assert large["box_x2"] < 256
    assert nobody["box_x2"] == 20  # keeps what was labelled
    assert store.outcomes["faces"].tolist() == [2, 2, 2]
    assert store.outcomes["message"][2] == "none of 2 is near the labelled box"


def test_two_passes_match_the_aligner_of_the_use_lane(
    make_table, photos, tmp_path, detector, portrait
):
    options = {"two_pass": True, "margin": 0.4, "size": 96, "encoding": "png"}
    prepare(
        make_table(["under/Zoë's.png"]), tmp_path / "s", root=photos, detector=detector, **options
    )
    store = ChipStore.open(tmp_path / "s")
    (face,) = detector.detect(portrait)
    assert np.array_equal(store[0], RotateCropAligner(detector, 96, 0.4).align(portrait, face).rgb)
    rotated = find_rotated_box(portrait, face, detector)
    assert store.table.extra == ROTATED_BOX
    row = store.table.frame.iloc[0]
    assert np.allclose(row[list(ROTATED_BOX)].astype(float), rotated.box_xyxy, atol=1e-3)
    assert np.allclose(row[list(BOX)].astype(float), face.box_xyxy, atol=1e-4)
    assert row["roll_degrees"] == pytest.approx(face.roll_degrees, abs=1e-4)
    assert store.card.settings["alignment"] == "rotate-crop"


def test_an_ldl_list_comes_out_of_a_two_pass_store(make_table, photos, tmp_path, detector):
    table = make_table(["face0.jpg", "lawn.png", "face1.jpg"], split="train")
    prepare(table, tmp_path / "s", root=photos, detector=detector, two_pass=True)
    store = ChipStore.open(tmp_path / "s")
    written = write_ldl(store.table, tmp_path, prefix="set")
    listed = pd.read_csv(written.paths[0])
    assert listed["photo"].tolist() == ["face0.jpg", "face1.jpg"]
    boxes = store.table.frame.loc[[0, 2], list(ROTATED_BOX)].to_numpy()
    assert np.allclose(listed[["box1", "box2", "box3", "box4"]], boxes, atol=1)


def test_aligned_pictures_are_only_resized(make_table, photos, tmp_path):
    class Forbidden(detector_class("retinaface")):
        def _find(self, rgb):
            raise AssertionError("no detection was asked for")

    table = make_table(["lawn.png", "face0.jpg"])
    report = prepare(
        table,
        tmp_path / "s",
        root=photos,
        detector=Forbidden(),
        aligned=True,
        size=48,
        encoding="png",
    )
    assert report.statuses == {"ok": 2}
    store = ChipStore.open(report.folder)
    assert np.array_equal(store[0], np.full((48, 48, 3), (40, 90, 40)))
    assert store.table.frame["box_x1"].isna().all()
    assert store.card.settings["alignment"] == "as-shipped"
    assert store.card.settings["detector"] is None


def test_bytes_hang_on_nothing_but_table_and_options(table, photos, tmp_path, detector):
    moved = tmp_path / "moved"
    moved.symlink_to(photos)
    options = {"detector": detector, "rows_per_shard": 3}
    prepare(table, tmp_path / "a", root=photos, workers=1, **options)
    prepare(table, tmp_path / "b", root={"set": moved}, workers=4, **options)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "a" / "store.json").read_text()))


def test_an_interrupted_run_ends_in_the_same_bytes(table, photos, tmp_path, detector):
    options = {"detector": detector, "rows_per_shard": 2}
    prepare(table, tmp_path / "whole", root=photos, **options)

    def interrupt(done, _):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(table, tmp_path / "cut", root=photos, on_progress=interrupt, **options)
    report = prepare(table, tmp_path / "cut", root=photos, **options)
    assert report.reused_rows == 6
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_table_s_form_in_memory_leaves_no_trace(table, photos, tmp_path):
    write_table(table, tmp_path / "table.csv")
    for name, rows in (("made", table), ("read", read_table(tmp_path / "table.csv"))):
        prepare(rows, tmp_path / name, root=photos, aligned=True, rows_per_shard=4)
    assert content(tmp_path / "made") == content(tmp_path / "read")


def test_a_full_disk_is_said_and_made_up_for(make_table, photos, tmp_path, files_of_at_most):
    table = make_table([*["lawn.png"] * 2, "face0.jpg", "face1.jpg"])
    options = {"aligned": True, "size": 200, "encoding": "png", "rows_per_shard": 2}
    prepare(table, tmp_path / "whole", root=photos, **options)
    with (
        files_of_at_most(40_000),
        pytest.raises(OutputError, match=r"chips-00001\.arrow: File too large\. .*make room"),
    ):
        prepare(table, tmp_path / "full", root=photos, **options)
    assert {p.name for p in (tmp_path / "full").iterdir()} == {
        *("chips-00000.arrow", "preparing.json")
    }
    assert prepare(table, tmp_path / "full", root=photos, **options).reused_rows == 2
    assert content(tmp_path / "full") == content(tmp_path / "whole")


def test_a_whole_store_is_left_as_it_is(make_table, photos, tmp_path):
    table = make_table(["face0.jpg", "face1.jpg"])
    prepare(table, tmp_path / "s", root=photos, aligned=True)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    report = prepare(table, tmp_path / "s", root=photos, aligned=True)
    assert report.reused_rows == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()} == before


def test_preparing_again_heals_a_damaged_store(make_table, photos, tmp_path):
    table = make_table([f"face{n}.jpg" for n in range(6)])
    options = {"aligned": True, "rows_per_shard": 2}
    prepare(table, tmp_path / "s", root=photos, **options)
    before = content(tmp_path / "s")
    (tmp_path / "s" / "chips-00000.arrow").unlink()
    shard = tmp_path / "s" / "chips-00002.arrow"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    report = prepare(table, tmp_path / "s", root=photos, **options)
    assert report.reused_rows == 2
    assert content(tmp_path / "s") == before


def test_another_table_or_option_is_refused(make_table, photos, tmp_path):
    table = make_table(["face0.jpg", "face1.jpg"])
    prepare(table, tmp_path / "s", root=photos, aligned=True)
    with pytest.raises(UsageError, match="size: there 112, now 64"):
        prepare(table, tmp_path / "s", root=photos, aligned=True, size=64)
    relabelled = SampleTable(table.frame.assign(age_years=[1.0, 2.0]))
    with pytest.raises(UsageError, match="table_sha256"):
        prepare(relabelled, tmp_path / "s", root=photos, aligned=True)


def test_card(make_table, photos, tmp_path):
    table = make_table(["face0.jpg", "absent.jpg"], age_kind=["real", "apparent"])
    prepare(table, tmp_path / "s", root=photos, aligned=True, licences={"set": "public domain"})
    document = json.loads((tmp_path / "s" / "store.json").read_text())
    assert document["format"] == "agelens chip store"
    assert document["format_version"] == 1
    assert document["rows"] == 2
    assert document["datasets"] == {"set": 2}
    assert document["age_kinds"] == {"apparent": 1, "real": 1}
    assert document["statuses"] == {"ok": 1, "missing": 1}
    assert document["settings"]["licences"] == {"set": "public domain"}
    assert document["shards"][0]["statuses"] == {"ok": 1, "missing": 1}


def test_wrong_calls(make_table, photos, tmp_path):
    table = make_table(["face0.jpg"])
    with pytest.raises(UsageError, match="no rows"):
        prepare(SampleTable.from_rows([]), tmp_path / "s", root=photos)
    with pytest.raises(UnknownNameError, match=", ".join(sorted(DETECTORS))):
        prepare(table, tmp_path / "s", root=photos, detector="retina")
    with pytest.raises(UsageError, match="none of the table's 1 pictures"):
        prepare(table, tmp_path / "s", root=tmp_path)
    assert not (tmp_path / "s").exists()


def test_a_bug_in_a_detector_is_no_status(make_table, photos, tmp_path):
    class Broken(detector_class("retinaface")):
        def _find(self, rgb):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        prepare(make_table(["face0.jpg"]), tmp_path / "s", root=photos, detector=Broken())


class Blind(detector_class("retinaface")):  # type: ignore[misc]
    """Fails the test that lets it look."""

    def _find(self, rgb):
        raise AssertionError("no detection was asked for")


def test_a_table_s_landmarks_cut_without_a_search(make_table, photos, tmp_path, portrait):
    points = np.array([[70, 80], [130, 90], [100, 120], [75, 150], [125, 155]], dtype=float)
    places = dict(zip(LANDMARKS, points.ravel()[:, None], strict=True))
    table = make_table(["under/Zoë's.png"], **places)
    options = {"template": "arcface-112", "size": 80, "encoding": "png"}
    report = prepare(table, tmp_path / "s", root=photos, detector=Blind(), boxes="table", **options)
    aligner = SimilarityAligner(template_named("arcface-112"), 80)
    face = Face(np.zeros(4), points, 1.0)
    assert np.array_equal(report.open()[0], aligner.align(portrait, face).rgb)
    assert report.places == "rows cut where the table says: 1"
    row = report.open().table.frame.iloc[0]
    assert np.allclose(row[list(LANDMARKS)].astype(float), points.ravel())


def test_an_ldl_list_s_roll_and_boxes_are_cut_as_its_authors_do(
    make_table, photos, tmp_path, portrait
):
    boxes = [60.0, 50.0, 260.0, 230.0]
    columns = dict(zip(ROTATED_BOX, [[value] for value in boxes], strict=True))
    table = make_table(["under/Zoë's.png"], roll_degrees=[30.0])
    table = table.with_columns(**columns)
    report = prepare(
        table,
        tmp_path / "s",
        root=photos,
        detector=Blind(),
        boxes="table",
        two_pass=True,
        margin=0.4,
        size=96,
        encoding="png",
    )
    turned = Image.fromarray(portrait).rotate(30, resample=Image.Resampling.BICUBIC, expand=True)
    wide, high = (boxes[2] - boxes[0]) * 0.2, (boxes[3] - boxes[1]) * 0.2
    frame = [boxes[0] - wide, boxes[1] - high, boxes[2] + wide, boxes[3] + high]
    chip = turned.crop([round(edge) for edge in frame]).resize((96, 96), Image.Resampling.BICUBIC)
    assert np.array_equal(report.open()[0], np.asarray(chip))
    row = report.open().table.frame.iloc[0]
    assert row[[*ROTATED_BOX, "roll_degrees"]].astype(float).tolist() == [*boxes, 30.0]


def test_what_a_table_does_not_place_is_searched_for(make_table, photos, tmp_path, detector):
    nan = np.nan
    boxes = np.array([[20, 20, 200, 220], [nan] * 4], dtype=float)
    table = make_table(["under/Zoë's.png", "face0.jpg"], **dict(zip(BOX, boxes.T, strict=True)))
    options = {"root": photos, "detector": detector, "two_pass": True}
    report = prepare(table, tmp_path / "s", boxes="table", **options)
    assert report.statuses == {"ok": 2}
    assert report.places.endswith("where the table says: 1, after a search for the face: 1")
    other = prepare(table, tmp_path / "other", **options)
    assert other.places.endswith("--boxes table cuts by its boxes and rolls (rows: 1)")
    with pytest.raises(UsageError, match="boxes: there 'table', now None"):
        prepare(table, tmp_path / "s", **options)
