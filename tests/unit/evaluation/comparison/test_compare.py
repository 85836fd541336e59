"""Models on datasets: figures against plain loops, what is refused, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from agelens.errors import TableError, UsageError
from agelens.evaluation.comparison.common_samples import (
    ComparedTable,
    common_samples,
    compared_tables,
    interval_of_difference,
    model_errors,
)
from agelens.evaluation.comparison.compare_tables import compare_tables
from agelens.evaluation.reports.comparison_page import ComparisonReport
from agelens.evaluation.reports.comparison_tables import samples_table
from agelens.evaluation.reports.result import plain_json
from agelens.tables import PredictionsTable

Network = Callable[..., ComparedTable]
FAST = {"draws": 100, "flips": 500}


def errors_of(table: ComparedTable) -> np.ndarray:
    return (table.frame["estimate_years"] - table.frame["age_years"]).to_numpy()


def test_figures_are_means_over_samples_and_seeds(network: Network) -> None:
    tables = [network("a", seed=0), network("a", seed=1), network("b", spread=8)]
    found = compare_tables(tables, **FAST)
    both = np.stack([errors_of(table) for table in tables[:2]])
    cell = found.cell("a", "people")
    assert cell is not None
    assert cell.seeds == (0, 1)
    assert cell.figures["mae"].value == pytest.approx(np.abs(both).mean())
    assert cell.figures["cs@5"].value == pytest.approx((np.abs(both) <= 5).mean())
    assert cell.figures["bias"].value == pytest.approx(both.mean())
    assert cell.mae_of_seeds == pytest.approx(np.abs(both).mean(axis=1))
    assert cell.own_mae == pytest.approx(np.abs(both).mean())
    assert (cell.samples, cell.people, cell.rows) == (200, 50, 400)
    (pair,) = found.pairs
    plain = np.abs(both).mean() - np.abs(errors_of(tables[2])).mean()
    assert pair.difference.value == pytest.approx(plain)
    assert pair.better == "a"
    assert pair.p_value == pair.p_adjusted == pytest.approx(1 / 501)
    assert found.cell("a", "nowhere") is None
    json.dumps(plain_json(found), allow_nan=False)


def test_the_difference_is_drawn_on_the_same_people(network: Network) -> None:
    """The interval of a plain loop over draws of people, both models on each draw."""
    common = common_samples([network("a"), network("b", spread=6)])
    errors = model_errors(common, draws=2000, seed=4)
    found = interval_of_difference(errors, "a", "b", common, 0.95)
    difference = errors.absolute["a"] - errors.absolute["b"]
    random = np.random.default_rng(11)
    drawn = []
    for _ in range(2000):
        people = random.integers(0, 50, 50)
        drawn.append(np.concatenate([difference[common.people == one] for one in people]).mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.value == pytest.approx(difference.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12)
    assert high - low < 2.2  # unpaired, it would be wider


def test_only_samples_that_all_answered_are_compared(network: Network) -> None:
    whole = network("a")
    estimates = whole.frame["estimate_years"].to_numpy().copy()
    estimates[:20] = np.nan
    found = compare_tables([whole, network("b", estimate_years=estimates)], **FAST)
    a, b = found.cell("a", "people"), found.cell("b", "people")
    assert a is not None
    assert b is not None
    assert (a.samples, b.samples, b.without_estimate) == (180, 180, 20)
    assert a.figures["mae"].value == pytest.approx(np.abs(errors_of(whole)[20:]).mean())
    assert a.own_mae == pytest.approx(np.abs(errors_of(whole)).mean())
    assert any("20 of 200 rows have no estimate" in line for line in found.notes)
    assert any("compared on the 180 samples" in line for line in found.notes)


def test_rows_are_matched_by_name_whatever_their_order(network: Network) -> None:
    forth, back = network("a"), network("b", rows=slice(None, None, -1))
    common = common_samples([forth, back])
    ages = forth.frame["age_years"].to_numpy()
    assert (common.age_years == ages).all()
    expected = back.frame["estimate_years"].to_numpy()[::-1]
    assert common.estimates["b"][0] == pytest.approx(expected)


def test_people_are_those_of_the_table_that_knows_them(network: Network) -> None:
    found = compare_tables([network("a", subject=None), network("b")], **FAST)
    assert {cell.people for cell in found.cells} == {50}


def test_unknown_people_are_not_counted_as_if_known(network: Network) -> None:
    nobody = ComparisonReport(compare_tables([network("a", subject=None)], **FAST))
    (cell,) = nobody.found.cells
    assert (cell.people, cell.unnamed) == (None, 200)
    assert samples_table(nobody.found)["people"].tolist() == ["unknown"]
    assert any("nobody says who is on 200 rows" in line for line in nobody.sentences())
    some = [f"p{n // 4}" if n < 100 else None for n in range(200)]
    (cell,) = compare_tables([network("a", subject=some)], **FAST).cells
    assert (cell.people, cell.unnamed) == (25, 100)


@pytest.mark.parametrize(
    ("train_data", "split", "kind"),
    [
        ("elsewhere", None, "cross"),
        ("people", "test", "intra"),
        ("people+elsewhere", "train", "leak"),
        ("people", None, "unclear"),
        (None, "test", "not stated"),
        ("not stated by the authors of the weights", "test", "not stated"),
    ],
)
def test_leaks_are_told(network: Network, train_data: str, split: str, kind: str) -> None:
    found = compare_tables([network(train_data=train_data, split=split)], **FAST)
    assert found.cells[0].relation.kind == kind
    told = any("eak" in line for line in found.notes)
    assert told == (kind in ("leak", "unclear", "not stated"))


def test_a_leak_of_one_seed_is_told_of_the_model(network: Network) -> None:
    tables = [
        network(seed=0, train_data="people", split="test"),
        network(seed=1, train_data="people", split=["train"] * 3 + ["test"] * 197),
    ]
    relation = compare_tables(tables, **FAST).cells[0].relation
    assert relation.kind == "leak"
    assert relation.text.startswith("3 of the 200")


def test_ranks_over_seeds_and_datasets(network: Network) -> None:
    tables = [
        network(model, spread=spread, seed=seed, dataset=dataset)
        for model, spread in (("a", 3), ("b", 6), ("c", 9))
        for seed in range(3)
        for dataset in ("x", "y")
    ]
    found = compare_tables(tables, **FAST)
    assert found.seed_ranks["x"].mean == {"a": 1, "b": 2, "c": 3}
    assert found.seed_ranks["x"].blocks == ("seed 0", "seed 1", "seed 2")
    assert found.dataset_ranks is not None
    assert found.dataset_ranks.blocks == ("x", "y")
    assert len(found.pairs) == 6
    cell = found.cell("a", "x")
    assert cell is not None
    assert cell.rank is not None
    assert cell.rank.best_share == 1


def test_kinds_of_age_are_not_mixed_unless_asked(network: Network) -> None:
    kinds = ["real"] * 100 + ["apparent"] * 100
    with pytest.raises(UsageError, match="100 real, 100 apparent"):
        compare_tables([network(age_kind=kinds)], **FAST)
    assert (
        compare_tables([network(age_kind=kinds)], mix_age_kinds=True, **FAST).cells[0].samples
        == 200
    )
    with pytest.raises(UsageError, match="several kinds"):
        compare_tables([network("a"), network("b", age_kind="apparent")], **FAST)
    apart = [
        network(model, dataset=name, age_kind=kind)
        for model in "ab"
        for name, kind in (("x", "real"), ("y", "estimated"))
    ]
    found = compare_tables(apart, **FAST)
    assert found.dataset_ranks is None
    assert any("no ranking over all" in line for line in found.notes)
    assert any("not an error against the truth" in line for line in found.notes)
    assert compare_tables(apart, mix_age_kinds=True, **FAST).dataset_ranks is not None


def test_what_cannot_be_compared_is_refused(network: Network) -> None:
    with pytest.raises(UsageError, match="no table was given"):
        compare_tables([])
    with pytest.raises(UsageError, match="two tables are of a on people"):
        compare_tables([network(), network()], **FAST)
    other = network("b", sample_id=[f"other{n}" for n in range(200)])
    with pytest.raises(UsageError, match=r"no sample in common.*'people/0'.*'other0'"):
        compare_tables([network("a"), other], **FAST)
    with pytest.raises(TableError, match=r"none of the .* age in years"):
        compare_tables([network(age_years=None, age_kind=None)], **FAST)
    ages = network().frame["age_years"].to_numpy() + np.r_[np.zeros(199), 1]
    with pytest.raises(TableError, match="1 samples different ages, such as 'people/199'"):
        compare_tables([network("a"), network("b", age_years=ages)], **FAST)
    with pytest.raises(UsageError, match="level"):
        compare_tables([network()], level=1.0)


def test_no_sample_answered_by_all_is_refused(network: Network) -> None:
    def answering(model: str, rows: slice) -> ComparedTable:
        estimates = np.full(200, np.nan)
        estimates[rows] = 30
        return network(model, estimate_years=estimates)

    with pytest.raises(UsageError, match="no sample has an age and an estimate of all"):
        compare_tables([answering("a", slice(0, 50)), answering("b", slice(50, 99))], **FAST)


def test_one_sample_has_a_figure_and_no_interval(network: Network) -> None:
    found = compare_tables([network("a", count=1), network("b", count=1)], **FAST)
    cell = found.cells[0]
    assert cell.few
    assert np.isnan(cell.figures["mae"].low)
    assert cell.rank is None
    assert found.pairs[0].p_value == 1
    assert found.pairs[0].better is None
    assert any("1 samples are too few" in line for line in found.notes)


def test_few_samples_leave_nobody_better(network: Network) -> None:
    subject = [f"p{n}" for n in range(20)]
    tables = [
        network(model, spread=spread, count=20, subject=subject)
        for model, spread in (("a", 0.1), ("b", 9))
    ]
    (pair,) = compare_tables(tables, **FAST).pairs
    assert pair.p_adjusted < 0.05
    assert pair.few
    assert pair.better is None


def test_without_draws_there_are_figures_and_tests(network: Network) -> None:
    found = compare_tables([network("a"), network("b")], draws=0, flips=100)
    assert np.isnan(found.cells[0].figures["mae"].low)
    assert found.cells[0].rank is None
    assert 0 < found.pairs[0].p_value <= 1


def test_a_table_of_several_models_and_datasets_is_taken_apart() -> None:
    table = PredictionsTable.from_columns(
        {
            "sample_id": ["1", "1", "2", "3"],
            "model": ["b", "a", "b", None],
            "dataset": ["x", "x", "y", None],
            "seed": [4, None, 4, None],
            "estimate_years": [1.0, 2, 3, 4],
        }
    )
    parts = compared_tables(table, "file", seed=None)
    keys = [(part.model, part.seed, part.dataset, len(part.frame)) for part in parts]
    assert keys == [
        ("b", 4, "x", 1),
        ("a", None, "x", 1),
        ("b", 4, "y", 1),
        ("file", None, "not stated", 1),
    ]
    with pytest.raises(UsageError, match="several models"):
        compared_tables(table, "mine", rename=True)
