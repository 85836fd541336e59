"""Runs that differ in a few values."""

from __future__ import annotations

import pytest

from agelens.errors import UsageError


def test_values_are_changed_by_dotted_key_and_nothing_else_is(maker) -> None:
    make = maker()
    run = make({"optimizer.lr": 0.25, "data.batch_size": 4})
    assert (run.optimizer.lr, run.data.batch_size) == (0.25, 4)
    assert run.optimizer.weight_decay == 0.01
    assert make().optimizer.lr != 0.25
    assert make().optimizer is not make().optimizer


def test_a_class_is_changed_with_its_arguments(maker) -> None:
    run = maker()({"schedule": {"class_path": "agelens.training.optimizers.Constant"}})
    assert type(run.schedule).__name__ == "Constant"


def test_values_are_read_by_the_same_keys(maker) -> None:
    assert maker().value("optimizer.weight_decay") == 0.01
    assert maker().value("seed") == 0


@pytest.mark.parametrize("key", ["optimizer.rate", "optimiser.lr", "seed.more", "nothing"])
def test_an_unknown_key_is_an_error(maker, key) -> None:
    with pytest.raises(UsageError, match=f"no value '{key}'"):
        maker()({key: 1})


def test_a_value_that_does_not_fit_is_an_error(maker) -> None:
    with pytest.raises(UsageError, match="trial's configuration is refused"):
        maker()({"data.batch_size": "many"})
