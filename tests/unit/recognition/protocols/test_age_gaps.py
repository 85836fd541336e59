import numpy as np

from agelens.recognition.protocols.identification import GAP_NAMES, by_gap


def test_bands_hold_their_first_year_and_not_the_next_bands():
    assert GAP_NAMES == ("under 5", "5 to 9", "10 to 19", "20 to 29", "30 and more")
    gaps = np.array([0, 4.99, 5, 9.99, 10, 19, 20, 29.5, 30, 69, np.nan])
    assert by_gap(gaps).codes.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, -1]
