"""The published figures: whole, of known provenance, and as their sources print them."""

from __future__ import annotations

import pytest

from agelens.data.datasets import DATASETS
from agelens.evaluation.comparison.comparison import KNOWN_BY, published_figures, published_on
from agelens.evaluation.metrics import METRICS


def test_every_figure_says_whose_it_is() -> None:
    figures = published_figures()
    assert len(figures) > 300
    for one in figures:
        assert set(one.datasets) <= set(DATASETS), one
        assert one.metric in METRICS, one
        assert one.known_by in KNOWN_BY, one
        assert (one.known_by == "quoted") == (one.quoted_in is not None), one
        assert one.protocol
        assert one.source
        unit = METRICS[one.metric].unit
        assert 0 < one.value < (1 if unit == "share" else 40), one


@pytest.mark.parametrize(
    ("dataset", "method", "metric", "source", "value"),
    [
        ("utkface", "CORAL", "mae", "the methods' authors", 5.39),
        ("morph2", "CORAL", "mae", "Cao et al., CORAL, PRL 2020, Tab. 1", 2.64),
        ("lagenda", "MiVOLO-v2 (384 px)", "cs@5", "Kuprashevich and Tolstykh, MiVOLO", 0.7448),
        ("megaage-asian", "SSR-Net", "ca_below@3", "Yang et al., SSR-Net, IJCAI 2018", 0.549),
        ("agedb", "SORD", "mae", "Paplham and Franc, CVPR 2024", 5.81),
    ],
)
def test_figures_are_as_printed(
    dataset: str, method: str, metric: str, source: str, value: float
) -> None:
    found = [
        one.value
        for one in published_on([dataset])
        if (one.method, one.metric, one.source) == (method, metric, source)
    ]
    assert found == [pytest.approx(value)]


def test_the_best_come_first_and_other_datasets_not_at_all() -> None:
    found = published_on(["utkface-wild"])
    assert {one.datasets[0] for one in found} == {"utkface"}
    errors = [one.value for one in found if one.metric == "mae"]
    assert errors == sorted(errors)
    scores = [one.value for one in found if one.metric == "cs@5"]
    assert scores == sorted(scores, reverse=True)
    assert published_on(["nobody's"]) == ()
