from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agelens.errors import UsageError
from agelens.evaluation.training_overlap import check_training_data
from agelens.inference.cards import Card, read_card
from agelens.tables import PredictionsTable

People = Callable[..., PredictionsTable]


@pytest.fixture
def card(write_card: Callable[..., Path], tmp_path: Path) -> Card:
    def change(document: dict[str, Any]) -> None:
        document["trained_on"] = [{"dataset": "people", "split": "hash, part train"}]

    return read_card(write_card(tmp_path, change=change))


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"split": ["train", "valid"] * 10}, "10 of the 20 people rows here are of its part train"),
        ({}, "20 of the 20 people rows here do not say"),
        ({"split": ["valid"] * 19 + [None]}, "1 of the 20 people rows here do not say"),
    ],
)
def test_people_who_may_have_been_trained_on_are_refused(
    estimated_people: People, card: Card, columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        check_training_data(estimated_people(20, **columns).frame, card)


@pytest.mark.parametrize("columns", [{"split": "valid"}, {"dataset": "others"}, {"dataset": None}])
def test_others_are_taken(estimated_people: People, card: Card, columns: dict[str, Any]) -> None:
    check_training_data(estimated_people(20, **columns).frame, card)
