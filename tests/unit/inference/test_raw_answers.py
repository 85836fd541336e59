"""The fields of --raw, against numbers by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agelens.ages import AgeScale
from agelens.inference.answers import OutputSpec, read_answers
from agelens.inference.result_files import RAW_FIELDS, raw_fields

SCALE = AgeScale.yearly(16, 20)


def spec_of(**options: object) -> OutputSpec:
    return OutputSpec(SCALE, "ordinal-logits", point="rank", **options)  # type: ignore[arg-type]


def test_each_step_of_an_answer_is_there() -> None:
    logits = np.log(np.array([0.9, 0.7, 0.4, 0.1]) / np.array([0.1, 0.3, 0.6, 0.9]))
    fields = raw_fields(logits, spec_of())
    assert tuple(fields) == RAW_FIELDS
    assert fields["raw_logits"] == pytest.approx(logits, abs=1e-6)
    assert fields["raw_probas"] == pytest.approx([0.9, 0.7, 0.4, 0.1], abs=1e-6)
    assert fields["threshold"] == 0.5
    assert fields["thresholded_probas"] == [1, 1, 0, 0]
    assert fields["result_value"] == 18
    json.dumps(fields, allow_nan=False)


def test_the_value_is_the_age_that_is_read() -> None:
    rng = np.random.default_rng(3)
    for spec in (spec_of(), spec_of(threshold=0.3), spec_of(link="conditional")):
        answers = rng.normal(0, 2, (40, 4))
        values = [raw_fields(row, spec)["result_value"] for row in answers]
        np.testing.assert_array_equal(values, read_answers(answers, spec).estimate_years)


def test_conditional_probabilities_are_multiplied() -> None:
    fields = raw_fields(np.zeros(4), spec_of(link="conditional", threshold=0.2))
    assert fields["raw_probas"] == [0.5, 0.25, 0.125, 0.0625]
    assert (fields["thresholded_probas"], fields["result_value"]) == ([1, 1, 0, 0], 18)


@pytest.mark.parametrize("kind", ["posterior", "mean-spread"])
def test_other_answers_have_no_logits(kind: str) -> None:
    with pytest.raises(ValueError, match=f"a {kind} answer has no ordinal logits"):
        raw_fields(np.zeros(5), OutputSpec(SCALE, kind))  # type: ignore[arg-type]
