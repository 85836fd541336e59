from __future__ import annotations

import numpy as np
import pytest

from agelens.data.formats.base import ages_from_names, subjects_from_names


@pytest.mark.parametrize(
    ("dataset", "path", "subject", "age"),
    [
        ("agedb", "AgeDB/0_MariaCallas_35_f.jpg", "MariaCallas", 35),
        ("agedb", "10_WillSmith _45_m.jpg", "WillSmith", 45),
        ("cacd2000", "CACD2000/45_Sinéad_O'Connor_0011.jpg", "Sinéad_O'Connor", 45),
        ("cacd2000", "42_Rene\u0301e_Zellweger_0004.jpg", "Ren\u00e9e_Zellweger", 42),
        ("morph2", "Album2/009055_1M54.JPG", "009055", 54),
        ("morph2", "273546_01f22.jpg", "273546", 22),
        ("afad-full", "39/112/406208-0.jpg", "406208", 39),
        ("afad-lite", "406208-12.jpg", "406208", np.nan),
        ("fgnet", "images/001a02.jpg", "001", 2),
        ("fgnet", "009A16b.JPG", "009", 16),
        ("utkface", "61_1_20170109142408075.jpg.chip.jpg", None, 61),
        ("utkface", "55_0_0_20170116232725357jpg.chip.jpg", None, 55),
        ("agedb", "cover.jpg", None, np.nan),
        ("own", "1_MariaCallas_35_f.jpg", None, np.nan),
    ],
)
def test_people_and_ages_in_file_names(dataset, path, subject, age) -> None:
    assert subjects_from_names(dataset, [path]) == [subject]
    np.testing.assert_array_equal(ages_from_names(dataset, [path]), [age])
