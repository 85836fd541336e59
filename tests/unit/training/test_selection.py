from __future__ import annotations

import pytest

from agelens.errors import UnknownNameError, UsageError
from agelens.training.epoch_metrics import Selection


def observed(selection: Selection, name: str, values: list[float]) -> list[bool]:
    return [selection.observe(epoch, {name: value}) for epoch, value in enumerate(values)]


def test_less_is_better_of_an_error_and_more_of_a_share() -> None:
    assert observed(Selection("mae"), "mae", [5, 4, 4, 6, 3]) == [True, True, False, False, True]
    assert observed(Selection("ca3"), "ca3", [0.5, 0.6, 0.6, 0.4, 0.7]) == [
        *(True, True, False, False, True)
    ]


def test_a_gain_is_asked_for() -> None:
    assert observed(Selection(gain=0.5), "mae", [5, 4.6, 4.4]) == [True, False, True]


def test_patience_runs_out() -> None:
    selection = Selection(patience=2)
    over = []
    for epoch, value in enumerate([5, 4, 6, 6]):
        selection.observe(epoch, {"mae": value})
        over.append(selection.is_over(epoch))
    assert over == [False, False, False, True]
    assert not Selection().is_over(1000)


def test_it_goes_on_where_it_was() -> None:
    before, after = Selection(patience=1), Selection(patience=1)
    observed(before, "mae", [5, 4, 6])
    after.load_state_dict(before.state_dict())
    assert after.best_epoch == 1
    assert after.is_over(2)
    assert not after.observe(3, {"mae": 4.5})


def test_nonsense_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'ca5'"):
        Selection("ca5")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Selection(patience=0)
