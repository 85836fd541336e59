from __future__ import annotations

import pytest

from agelens.data.store.card import StoreSettings, alignment_of
from agelens.errors import UnknownNameError, UsageError

NOTHING = {"template": None, "size": None, "margin": 0.0, "two_pass": False, "aligned": False}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("similarity", "dlib-64", 64)),
        ({"template": "arcface-112"}, ("similarity", "arcface-112", 112)),
        ({"size": 96}, ("similarity", "dlib-64", 96)),
        ({"two_pass": True, "margin": 0.4}, ("rotate-crop", None, 112)),
        ({"aligned": True, "size": 128}, ("as-shipped", None, 128)),
    ],
)
def test_defaults(options, expected):
    assert alignment_of(**(NOTHING | options)) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"two_pass": True, "aligned": True}, "choose one"),
        ({"two_pass": True, "template": "dlib-64"}, "follow no template"),
        ({"aligned": True, "template": "dlib-64"}, "follow no template"),
        ({"aligned": True, "margin": 0.1}, "leave out the margin"),
    ],
)
def test_options_that_clash(options, said):
    with pytest.raises(UsageError, match=said):
        alignment_of(**(NOTHING | options))


def test_unknown_template():
    with pytest.raises(UnknownNameError, match="arcface-112"):
        alignment_of(**(NOTHING | {"template": "arcface"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 8}, "least is 16"),
        ({"margin": -0.6}, "margin"),
        ({"margin": -0.1, "alignment": "rotate-crop", "template": None}, "margin"),
        ({"rows_per_shard": 0}, "at least 1 row"),
    ],
)
def test_numbers_out_of_range(change, said):
    good = {
        "alignment": "similarity",
        "detector": "retinaface",
        "longest_side": 640,
        "template": "dlib-64",
        "size": 64,
        "margin": 0.0,
        "encoding": "jpeg",
        "quality": 95,
        "max_pixels": 10**8,
        "rows_per_shard": 1024,
    }
    assert StoreSettings(**good).to_json()["licences"] == {}
    with pytest.raises(UsageError, match=said):
        StoreSettings(**(good | change))
