"""The letters for ethnicity in MORPH's CSV and in the lists made from it."""

from __future__ import annotations

from typing import Final

LETTERS: Final = {
    "A": "Asian",
    "B": "Black",
    "H": "Hispanic",
    "O": "Other",
    "W": "White",
}
"""Words as the MORPH reader writes them."""
