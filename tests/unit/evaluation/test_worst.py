from collections.abc import Callable

import numpy as np

from agelens.evaluation.all_rows import worst_errors
from agelens.tables import PredictionsTable


def test_the_furthest_come_first_and_missing_estimates_not_at_all(
    estimated_people: Callable[..., PredictionsTable],
) -> None:
    estimates = np.array([30.0, 10.0, np.nan, 55.0])
    table = estimated_people(
        4,
        age_years=[31, 40, 1, 50],
        estimate_years=estimates,
        low_years=None,
        high_years=None,
    )
    worst = worst_errors(PredictionsTable(table.frame))
    assert worst["sample_id"].tolist() == ["s1", "s3", "s0"]
    assert worst["error_years"].tolist() == [-30, 5, -1]
    assert "yaw_proxy" in worst
    assert len(worst_errors(PredictionsTable(table.frame), 1)) == 1
