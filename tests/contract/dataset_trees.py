"""Fake trees in each owner's layout: case variants, stray files, dirty labels, no pictures.

Readers look at names and lists only, so the pictures are empty files. Each function writes
one tree below a folder and returns the root to point the reader at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.io import savemat

STRAY = ("Thumbs.db", "README.md", ".DS_Store", "._hidden.jpg")


def put(folder: Path, *names: str | bytes) -> None:
    """Empty files, and the strays that come with downloads, below `folder`."""
    for name in (*names, *STRAY):
        path = folder / (name if isinstance(name, str) else name.decode(errors="surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def write(path: Path, lines: Iterable[str | bytes], end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"".join(line + end.encode() for line in encoded))
    return path


def cells(values: Sequence[object]) -> np.ndarray:
    """A MATLAB cell array, N x 1."""
    array = np.empty((len(values), 1), dtype=object)
    array[:, 0] = [np.array([value]) if isinstance(value, str) else value for value in values]
    return array


def agedb(root: Path) -> Path:
    names = [
        "0_MariaCallas_35_f.jpg",
        "1_WillSmith _45_m.jpg",
        "2_RicardoMontalb\u0430n_52_m.JPG",  # Cyrillic a
        "3_RicardoMontalb\u00e1n_60_m.jpg",
        "4_St\u0412phaneAudran_41_f.jpg",
        "5_RoyScheider_42_f.jpg",
        "6_Jean_Claude_30_m.jpg",
        "cover.jpg",
        b"7_Myl\x8aneDemongeot_25_f.jpg",
    ]
    put(root / "AgeDB", *names)
    return root


def _afad(root: Path, edition: str) -> Path:
    names = ["15/111/638660-1.jpg", "15/112/671487-0.jpg", "75/111/1-0.jpg", "18/111/638660-2.JPG"]
    put(root / edition, *names)
    put(root / edition / "15" / "111", "Thumbs.db")
    listed = ["./15/111/638660-1.jpg", "./15/112/671487-0.jpg", "./75/111/1-0.jpg"]
    write(root / edition / f"{edition}.txt", [*listed, "./20/112/99-0.jpg"], end="\r\n")
    return root


def afad_full(root: Path) -> Path:
    return _afad(root, "AFAD-Full")


def afad_lite(root: Path) -> Path:
    return _afad(root, "AFAD-Lite")


def cacd2000(root: Path) -> Path:
    put(
        root / "CACD2000",
        "54_Bill_Pullman_0006.jpg",
        "42_Rene\u0301e_Zellweger_0004.jpg",  # stored decomposed
        "46_Gail_O'Grady_0007.jpg",
        "14_Jean-Luc_Picard_0001.jpg",
    )
    names = ["54_Bill_Pullman_0006.jpg", "42_Ren\u00e9e_Zellweger_0004.jpg"]
    names += ["46_Gail_O'Grady_0007.jpg", "30_Ann_Absent_0001.jpg", "14_Jean-Luc_Picard_0001.jpg"]
    columns = {"age": [54, 42, 47, 30, 14], "identity": [1, 2, 3, 4, 5]}
    columns |= {"year": [2007, 2011, 2009, 2013, 2004], "rank": [6, 2, 3, 5, 1]}
    image = {name: np.array(values)[:, None] for name, values in columns.items()}
    image |= {"feature": np.empty((0, 0)), "name": cells(names)}
    savemat(
        root / "celebrity2000_meta.mat",
        {"celebrityImageData": image, "celebrityData": {"name": cells(["Bill Pullman"])}},
    )
    return root


def cacd_vs(root: Path) -> Path:
    numbers = [0, 199, 200, 399, 400, 3999]
    put(root / "CACD_VS", *(f"{number:04d}_{side}.jpg" for number in numbers for side in "01"))
    (root / "CACD_VS" / "3999_1.jpg").unlink()
    return root


def morph2(root: Path) -> Path:
    base = root / "MORPH_nonCommercial"
    put(
        base / "Album2",
        *("009055_1M54.JPG", "134083_05M41.jpg", "000001_00F16.JPG", "000002_0M20.JPG"),
        *("000003_01F30.JPG",),
    )
    header = "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo"
    rows = [
        "9055,1,1/2/1950,03/04/2004,B,M,1,54,0,0,Album2/009055_1M54.JPG",
        "134083,5,1/2/1963,2004-05-06,W,F,1,41,0,0,Album2/134083_05M41.JPG",  # name says male
        "1,0,1/2/1988,1/1/2005,I,F,0,16,0,Album2/000001_00F16.JPG",  # a field short
        "2,0,1/2/1988,1/1/05,O,M,0,20,0,0,Album2/000002_0M20.JPG",
        "4,0,1/2/1988,1/1/2005,A,M,0,20,0,0,Album2/000004_0M20.JPG",  # absent
    ]
    write(base / "morph_2008_nonCommercial.csv", [header, *rows], end="\r\n")
    return root


def _megaage(root: Path, name: str) -> Path:
    base = root / name
    put(base / "train", "1.jpg", "2.jpg", "3.JPG", "5.jpg")
    put(base / "test", "1.jpg", "2.jpg")
    write(base / "list" / "train_name.txt", ["1.jpg", "2.jpg", "3.jpg", "4.jpg"], end="\r\n")
    write(base / "list" / "train_age.txt", ["25", "31.0", "-1", "70"])
    dirac, spread, broken = np.eye(70)[25], np.eye(70)[20] / 2 + np.eye(70)[30] / 2, np.zeros(70)
    posteriors = [" ".join(map(str, row)) for row in (dirac, spread, broken, dirac)]
    write(base / "list" / "train_dis.txt", posteriors)
    write(base / "list" / "test_name.txt", ["1.jpg", "2.jpg", ""])
    write(base / "list" / "test_age.txt", ["0", "old"])
    return root


def megaage(root: Path) -> Path:
    write(root / "megaage" / "list" / "train_gender.txt", ["0", "1", "2", "1"])
    return _megaage(root, "megaage")


def megaage_asian(root: Path) -> Path:
    return _megaage(root, "megaage_asian")


def _matlab_day(year: int, month: int, day: int) -> float:
    return float(np.datetime64(f"{year:04d}-{month:02d}-{day:02d}").astype(int) + 719529)


def _imdb_wiki(root: Path, half: str, names: list[str]) -> None:
    put(root / f"{half}_crop", *names[:-1])
    put(root / half, *names[:-1])
    births = [(1981, 5, 5), (1948, 7, 3), (2030, 1, 1), (1900, 1, 1), (1970, 6, 30), (1970, 1, 1)]
    dob = [*(_matlab_day(*birth) for birth in births), 0.0, 9e6, np.nan]
    taken = [2009.0, 2008, 2009, 2009, 2000, 2000, 2009, 2009, 2009]
    score = [4.3, 4.3, 4.3, 4.3, -np.inf, 0.5, 4.3, 4.3, 4.3]
    second = [np.nan, np.nan, np.nan, np.nan, np.nan, 3.1, np.nan, np.nan, np.nan]
    gender = [1.0, 0.0, np.nan, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    boxes = np.empty((1, 9), dtype=object)
    boxes[0] = [np.array([[11.0, 21.0, 111.0, 121.0]])] * 8 + [np.empty((0, 0))]
    struct_ = {
        "dob": np.array([dob]),
        "photo_taken": np.array([taken]),
        "full_path": cells(names).T,
        "gender": np.array([gender]),
        "name": cells(["Somebody"] * 9).T,
        "face_location": boxes,
        "face_score": np.array([score]),
        "second_face_score": np.array([second]),
    }
    savemat(root / f"{half}_crop" / f"{half}.mat", {half: struct_})


def imdb(root: Path) -> Path:
    dates = ["1981-5-5_2009", "1948-7-3_2008", "x_2009", "1900-1-1_2009", "1970-6-30_2000"]
    dates += ["1970-1-1_2000", "0_2009", "9_2009", "nan_2009"]
    names = [f"0{row}/nm000000{row}_rm12_{date}.jpg" for row, date in enumerate(dates)]
    _imdb_wiki(root, "imdb", names)
    return root


def wiki(root: Path) -> Path:
    names = [f"1{row}/1000021{row}_1981-05-05_2009.jpg" for row in range(9)]
    _imdb_wiki(root, "wiki", names)
    return root


def imdb_wiki(root: Path) -> Path:
    return wiki(imdb(root))


def imdb_clean(root: Path) -> Path:
    header = "filename,age,gender,x_min,y_min,x_max,y_max,head_roll,head_yaw,head_pitch"
    for split, folder in (("train", "38"), ("valid", "39"), ("test", "40")):
        name = f"{folder}/nm2679438_rm3695806976_1989-8-15_2009.jpg"
        absent = f"{folder}/nm0000002_rm1_1989-8-15_2010.jpg"
        rows = [f"{name},20,M,31,39,61,77,7.786,1.797,2.22", f"{absent},21,F,31,39,31,77,0,0,0"]
        for ending in ("new", "new_1024"):
            write(root / "csvs" / f"imdb_{split}_{ending}.csv", [header, *rows])
        put(root / "data" / "imdb-clean-1024", name)
        put(root / "data" / "imdb", name, f"{folder}/nm0000009_rm1_1989-8-15_2010.jpg")
    return root


def appa_real(root: Path) -> Path:
    base = root / "appa-real-release"
    header = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age"
    for start, split in enumerate(("train", "valid", "test")):
        names = [f"{start}{row:05d}.jpg" for row in range(3)]
        put(base / split, *(name + "_face.jpg" for name in names[:2]), *names[:2])
        put(base / split, *(name + ".mat" for name in names))
        values = ["38,5.5,1.25,4", "36,40,0,43", "37,30,2,31"]
        rows = [f"{name},{value}" for name, value in zip(names, values, strict=True)]
        write(base / f"gt_avg_{split}.csv", [header, *rows])
    put(base / "valid", "100077.jpg_face.jpg", "100077.jpg")
    gender = ["file,gender,race,makeup,time,happiness", "000000.jpg,female,asian,nomakeup,modern,x"]
    write(base / "allcategories_train.csv", [*gender, "000001.jpg,male,caucasian,no,modern,x"])
    write(base / "ignore_list.csv", ["img_name", "000001.jpg_face.jpg"])
    return root


def lap2015(root: Path) -> Path:
    put(root / "train_1", "image_1.jpg")
    put(root / "train_2", "image_2.JPG")
    put(root / "valid", "image_3.jpg", "image_9.jpg")
    write(root / "Train.csv", ["image_1.jpg;21;4.026539", "image_2.jpg;35.5;0"], end="\r\n")
    write(root / "Validation.csv", ["image_3.jpg;60;3.5", "image_4.jpg;7;1.0"], end="\r\n")
    return root


def lap2016(root: Path) -> Path:
    for split, name in (("train", "003856"), ("valid", "004000"), ("test", "005000")):
        put(root / split, f"{name}.jpg")
        write(root / f"{split}_gt.csv", [b"\xef\xbb\xbfimage,mean,stdv", f"{name}.jpg,35,4.609"])
    return root


UTKFACE_NAMES = (
    "100_1_0_20170110183726390",
    "61_1_20170109142408075",
    "61_3_20170109150557335",
    "39_1_20170116174525125",
    "14_0_0_2017011022340900",
    "38_0_1_201701162330572788",
    "28_1_2_201701161846515488",
    "24_0_1_20170116220224657 ",
    "1_1_4_20161219140623097",
)


def utkface(root: Path) -> Path:
    put(root / "UTKFace", *(f"{name}.jpg.chip.jpg" for name in UTKFACE_NAMES))
    put(
        root / "UTKFace",
        "55_0_0_20170116232725357jpg.chip.jpg",
        "20_1_20170101000000000.jpg.chip.jpg",
    )
    put(root / "UTKFace", "30_3_0_20170101000000000.jpg.chip.jpg", "whole_picture.jpg")
    return root


def utkface_wild(root: Path) -> Path:
    put(root / "part1", "100_1_0_20170110183726390.jpg", "61_3_20170109150557335.jpg")
    put(root / "part2", "53__0_20170116184028385.jpg")
    put(root / "part3", "26_0_3_20170117000000000.jpg")
    put(root / "UTKFace", "100_1_0_20170110183726390.jpg.chip.jpg")
    write(root / "landmark_list_part1.txt", ["100_1_0_20170110183726390.jpg 1 2"])
    return root


FGNET_NAMES = ("001A05.JPG", "001a02.JPG", "009A16b.jpg", "010A07a.jpg", "004A30.jpg", "080A69.JPG")


def fgnet(root: Path) -> Path:
    base = root / "FGNET"
    put(base / "images", *FGNET_NAMES)
    points = [f"{index}.5 {100 + index}" for index in range(68)]
    for name in FGNET_NAMES[:4]:
        stem = Path(name).stem.lower()
        write(base / "points" / f"{stem}.pts", ["version: 1", "n_points: 68", "{", *points, "}"])
    write(base / "points" / "004a30.pts", ["version: 1", "n_points: 68", "{", *points[:60], "}"])
    put(base / "feature_generation_tools", "logo.jpg")
    return root


def fairface(root: Path) -> Path:
    base = root / "fairface-img-margin025-trainval"
    ages = ["0-2", "3-9", "10-19", "20-29", "60-69", "more than 70", "9-Mar", "Oct-19"]
    put(base / "train", *(f"{row}.jpg" for row in range(1, 9)))
    put(base / "val", "1.jpg", "3.jpg")
    header = "file,age,gender,race,service_test"
    race = "Latino_Hispanic"
    rows = [f"train/{row}.jpg,{age},Male,{race},True" for row, age in enumerate(ages, start=1)]
    write(root / "fairface_label_train.csv", [header, *rows])
    values = ["val/1.jpg,30-39,Female,East Asian,False", "val/2.jpg,40-49,Female,Black,False"]
    write(root / "fairface_label_val.csv", [header, *values])
    return root


def adience(root: Path) -> Path:
    header = "user_id original_image face_id age gender x y dx dy tilt_ang fiducial_yaw_angle"
    ages = ["(25, 32)", "(0, 2)", "(8, 13)", "None", "35", "(25, 23)", "(8, 23)", "58", "99", ""]
    genders = ["f", "m", "u", "", "m", "f", "m", "f", "m", "f"]
    for fold in range(5):
        rows = [
            f"{fold}0601258@N03\t{row}_e94629b1ec_o.jpg\t{row}\t{age}\t{sex}\t301\t105\t640\t641\t0\t0\t94"
            for row, (age, sex) in enumerate(zip(ages, genders, strict=True))
        ]
        head = "\t".join([*header.split(), "fiducial_score"])
        again = rows[:1] if fold == 4 else []
        write(root / f"fold_{fold}_data.txt", [head, *rows, *again])
        write(root / f"fold_frontal_{fold}_data.txt", [head])
        user = f"{fold}0601258@N03"
        for kind, name in (("aligned", "landmark"), ("faces", "coarse_tilt")):
            files = [f"{name}_aligned_face.{row}.{row}_e94629b1ec_o.jpg" for row in range(10)]
            put(root / kind / user, *files, f"{name}_aligned_face.77.extra_o.jpg")
    (root / "aligned" / "00601258@N03" / "landmark_aligned_face.0.0_e94629b1ec_o.jpg").unlink()
    return root


def lagenda(root: Path) -> Path:
    header = "img_name,age,gender,face_x0,face_y0,face_x1,face_y1"
    header += ",person_x0,person_y0,person_x1,person_y1"
    rows = [
        "lag_benchmark/a.jpg,31.4,M,10,20,110,140,0,0,200,400",
        "lag_benchmark/a.jpg,-1,-1,-1,-1,-1,-1,200,0,300,400",
        "b.jpg,20;29,F,10,20,110,140,-1,-1,-1,-1",
        "lag_benchmark/b5c8ef090f134ad5.jpg.jpg,44,F,1,2,3,4,-1,-1,-1,-1",
    ]
    write(root / "LAGENDA" / "lagenda_annotation.csv", [header, *rows])
    put(root / "LAGENDA" / "lag_benchmark", "a.jpg", "b.jpg", "b5c8ef090f134ad5.jpg")
    return root


def all_age_faces(root: Path) -> Path:
    base = root / "All-Age-Faces Dataset"
    names = ["00000A02.jpg", "07380A80.jpg", "07381A30.jpg", "13321A05.jpg"]
    put(base / "original images", *names)
    put(base / "aglined faces", *names)
    put(base / "key points", "00000A02.pts")
    write(base / "image sets" / "train.txt", ["00000A02 0", "07381A30.jpg 1", "00005A10 0"])
    write(base / "image sets" / "val.txt", ["07380A80 1"])
    return root


def lfw(root: Path) -> Path:
    people = {"Abel_Pacheco": 4, "Bo_Yi": 2, "AJ_Cook": 1, "Jean-Luc_O'Neill": 1}
    for name, pictures in people.items():
        put(root / "lfw" / name, *(f"{name}_{number:04d}.jpg" for number in range(1, pictures + 1)))
    fold = ["Abel_Pacheco\t1\t4", "Bo_Yi\t1\t2", "AJ_Cook\t1\tBo_Yi\t2", "AJ_Cook\t1\tGone\t12"]
    write(root / "pairs.txt", ["2\t2", *fold, *fold])
    return root


def calfw(root: Path) -> Path:
    base = root / "calfw"
    names = [f"Carl_Reiner_{number:04d}.jpg" for number in range(1, 21)]
    for kind in ("aligned images", "images"):
        put(base / kind, *names)
    same = [
        line for fold in range(1, 11) for line in (f"{names[0]} {fold}", f"{names[fold]} {fold}")
    ]
    different = [line for name in names[:10] for line in (f"{name} 0", "Gone_0001.jpg 0")]
    write(base / "pairs_CALFW.txt", [*same, *different])
    return root


MAGIC = struct.pack("<I", 0xCED7230A)


def record(labels: Sequence[float], content: bytes, *, header: bool = False) -> list[bytes]:
    """The parts of one record; it is cut wherever the content holds the magic number."""
    many = header or len(labels) > 1
    head = struct.pack("<IfQQ", len(labels) if many else 0, 0.0 if many else labels[0], 0, 0)
    extra = struct.pack(f"<{len(labels)}f", *labels) if many else b""
    payloads = (head + extra + content).split(MAGIC)
    last = len(payloads) - 1
    parts = []
    for at, payload in enumerate(payloads):
        kind = 0 if not last else 1 if at == 0 else 3 if at == last else 2
        word = struct.pack("<I", kind << 29 | len(payload))
        parts.append(MAGIC + word + payload + b"\0" * (-len(payload) % 4))
    return parts


def write_records(folder: Path, records: dict[int, list[bytes]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data, lines = b"", []
    for key, parts in records.items():
        lines.append(f"{key}\t{len(data)}")
        data += b"".join(parts)
    (folder / "train.rec").write_bytes(data)
    write(folder / "train.idx", lines)


MS1MV3_JPEGS = {1: b"\xff\xd8one", 2: b"\xff\xd8" + b"ab" + MAGIC + b"cd", 3: b"\xff\xd8three"}


def ms1mv3(root: Path) -> Path:
    base = root / "ms1m-retinaface-t1"
    records = {0: record([4, 6], b"", header=True)}
    classes = {1: [0.0], 2: [0.0, 0.0], 3: [1.0]}  # 2 is a vector
    records |= {key: record(classes[key], jpeg) for key, jpeg in MS1MV3_JPEGS.items()}
    records |= {4: record([1, 3], b"", header=True), 5: record([3, 4], b"", header=True)}
    write_records(base, records)
    (base / "property").write_text("2,112,112")
    put(base, "lfw.bin", "agedb_30.bin")
    return root


def ms1mv3_folders(root: Path) -> Path:
    put(root / "000000", "00000001_age_39.jpg", "00000002_age_7.jpg")
    put(root / "093430", "05179510_age_39.jpg", "05179509.jpg")
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "agedb": agedb,
    "afad-full": afad_full,
    "afad-lite": afad_lite,
    "cacd2000": cacd2000,
    "cacd-vs": cacd_vs,
    "morph2": morph2,
    "megaage": megaage,
    "megaage-asian": megaage_asian,
    "imdb": imdb,
    "wiki": wiki,
    "imdb-wiki": imdb_wiki,
    "imdb-clean": imdb_clean,
    "appa-real": appa_real,
    "lap2015": lap2015,
    "lap2016": lap2016,
    "utkface": utkface,
    "utkface-wild": utkface_wild,
    "fgnet": fgnet,
    "fairface": fairface,
    "adience": adience,
    "lagenda": lagenda,
    "all-age-faces": all_age_faces,
    "lfw": lfw,
    "calfw": calfw,
    "ms1mv3": ms1mv3,
    "ms1mv3-folders": ms1mv3_folders,
}
