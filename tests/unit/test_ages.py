"""Age scales against plain loops and against what quantiles must obey."""

from __future__ import annotations

import bisect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ages import AgeScale
from agelens.records import Floats

DEFAULT = AgeScale((0.25, *range(1, 81)))
UNEVEN = AgeScale((0, 2, 3, 10, 40))


def one_hot(scale: AgeScale, k: int) -> Floats:
    return np.eye(len(scale))[k : k + 1]


def loop_quantile(years: tuple[float, ...], row: list[float], q: float) -> float:
    """The quantile for 0 < q, walking the cells one by one."""
    count = len(years)
    halfway = [(years[i] + years[i + 1]) / 2 for i in range(count - 1)]
    edges = [
        max(0.0, years[0] - (halfway[0] - years[0])),
        *halfway,
        years[-1] + (years[-1] - halfway[-1]),
    ]
    total, below = math.fsum(row), 0.0
    for k in range(count):
        mass = row[k] / total
        if below + mass >= q:
            return edges[k] + (q - below) / mass * (edges[k + 1] - edges[k])
        below += mass
    return edges[-1]


@st.composite
def scales(draw: st.DrawFn) -> AgeScale:
    first = draw(st.floats(0, 5))
    gaps = draw(st.lists(st.floats(0.1, 20), min_size=1, max_size=12))
    return AgeScale(tuple(np.cumsum([first, *gaps]).tolist()))


@st.composite
def scales_and_rows(draw: st.DrawFn, rows: int = 1) -> tuple[AgeScale, Floats]:
    """A scale, and posteriors with some mass everywhere, as a softmax leaves it."""
    scale = draw(scales())
    row = st.lists(st.floats(1e-3, 1), min_size=len(scale), max_size=len(scale))
    mass = np.array([draw(row) for _ in range(rows)])
    return scale, mass / mass.sum(axis=1, keepdims=True)


def test_edges_of_the_default_scale_stop_at_birth() -> None:
    edges = DEFAULT.edges_years
    assert len(edges) == 82
    np.testing.assert_allclose(edges[:4], [0, 0.625, 1.5, 2.5])
    np.testing.assert_allclose(edges[-2:], [79.5, 80.5])


def test_yearly_is_every_year() -> None:
    assert AgeScale.yearly(16, 19).years == (16.0, 17.0, 18.0, 19.0)
    assert len(AgeScale.yearly(0, 100)) == 101


def test_equal_years_make_equal_scales() -> None:
    assert AgeScale((1, 2, 3)) == AgeScale.yearly(1, 3)
    assert hash(AgeScale((1, 2, 3))) == hash(AgeScale.yearly(1, 3))


@pytest.mark.parametrize(
    "years", [(), (5,), (2, 1), (1, 1), (0, math.nan), (0, math.inf), (-1, 3), ((0, 1), (2, 3))]
)
def test_bad_scales_are_refused(years: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="age"):
        AgeScale(years)


@pytest.mark.parametrize(("first", "last"), [(5, 5), (6, 5), (-1, 4)])
def test_bad_yearly_scales_are_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="age"):
        AgeScale.yearly(first, last)


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("0-100", tuple(range(101))),
        ("0.25,1-80", (0.25, *range(1, 81))),
        (" 3 , 5 - 7 ,9.5", (3, 5, 6, 7, 9.5)),
        ("1-2,3-4", (1, 2, 3, 4)),
        ("5-5,8", (5, 8)),
        ("1e-05,2", (1e-05, 2)),
    ],
)
def test_a_text_names_a_scale(text: str, years: tuple[float, ...]) -> None:
    assert AgeScale.parse(text) == AgeScale(years)


@pytest.mark.parametrize(
    ("scale", "text"),
    [
        (AgeScale.yearly(0, 100), "0-100"),
        (DEFAULT, "0.25,1-80"),
        (UNEVEN, "0,2-3,10,40"),
        (AgeScale((0.5, 1.5, 2.5)), "0.5,1.5,2.5"),
    ],
)
def test_a_scale_is_spelled_in_runs(scale: AgeScale, text: str) -> None:
    assert str(scale) == text


@st.composite
def whole_and_broken_years(draw: st.DrawFn) -> AgeScale:
    """Scales with runs of whole years, as real ones have, and any other numbers between."""
    whole = st.integers(0, 130).map(float)
    any_year = st.floats(0, 1e6, allow_subnormal=True)
    return AgeScale(tuple(sorted(draw(st.sets(whole | any_year, min_size=2, max_size=40)))))


@given(whole_and_broken_years())
def test_spelling_and_reading_a_scale_gives_it_back(scale: AgeScale) -> None:
    assert AgeScale.parse(str(scale)) == scale


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' in '' is neither"),
        ("adults", "'adults' in 'adults' is neither"),
        ("0-", "'0-' in"),
        ("-", "'-' in"),
        ("1,5-3,10", "'5-3' in"),  # not a gap
        ("0-10.5", "'0-10.5' in"),
        ("0..100", "is neither"),
        ("1,,2", "'' in '1,,2'"),
        ("0--5", "'0--5' in"),
        ("7", "at least 2 ages"),
        ("-5,3", "at least 0"),
        ("1-5,5-8", "strictly ascending"),
        ("10,5", "strictly ascending"),
        ("0,nan", "finite"),
        ("0,inf", "finite"),
    ],
)
def test_texts_that_name_no_scale_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AgeScale.parse(text)


@given(scales_and_rows(rows=3), st.floats(0.001, 1))
def test_matches_plain_loops(case: tuple[AgeScale, Floats], q: float) -> None:
    scale, posterior = case
    loop_mean = [
        math.fsum(y * p for y, p in zip(scale.years, row, strict=True)) for row in posterior
    ]
    np.testing.assert_allclose(scale.expected(posterior), loop_mean, rtol=1e-12)
    loops = [loop_quantile(scale.years, row.tolist(), q) for row in posterior]
    np.testing.assert_allclose(scale.quantile(posterior, q), loops, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 80), st.floats(0.01, 0.999))
def test_one_hot_stays_inside_its_cell(k: int, level: float) -> None:
    posterior = one_hot(DEFAULT, k)
    low, high = DEFAULT.interval(posterior, level)
    left, right = DEFAULT.edges_years[k : k + 2]
    assert left <= low[0] < high[0] <= right
    assert DEFAULT.expected(posterior)[0] == DEFAULT.years[k]
    for q in (0.0, 1.0):
        assert left <= DEFAULT.quantile(posterior, q)[0] <= right


def test_ends_of_the_mass_are_the_extreme_quantiles() -> None:
    posterior = np.array([[0, 0.5, 0, 0.5, 0]])
    assert UNEVEN.quantile(posterior, 0.0)[0] == pytest.approx(1.0)
    assert UNEVEN.quantile(posterior, 1.0)[0] == pytest.approx(25.0)


def test_the_whole_mass_ends_with_the_scale_whatever_its_rounding() -> None:
    posterior = np.random.default_rng(4).dirichlet(np.ones(81), size=2000)
    np.testing.assert_array_equal(DEFAULT.quantile(posterior, 0.0), 0.0)
    np.testing.assert_allclose(DEFAULT.quantile(posterior, 1.0), 80.5, atol=1e-6)


def test_between_two_equal_peaks_the_lowest_median_is_given() -> None:
    posterior = np.array([[0, 0.5, 0, 0.5, 0]])
    assert UNEVEN.median(posterior)[0] == pytest.approx(2.5)


@given(scales_and_rows(), st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_quantiles_rise_with_q(case: tuple[AgeScale, Floats], pair: list[float]) -> None:
    scale, posterior = case
    lower, upper = (scale.quantile(posterior, q)[0] for q in pair)
    assert scale.edges_years[0] <= lower <= upper <= scale.edges_years[-1]


@given(scales_and_rows(), st.lists(st.floats(0.001, 0.999), min_size=2, max_size=2).map(sorted))
def test_a_larger_level_contains_the_smaller(
    case: tuple[AgeScale, Floats], levels: list[float]
) -> None:
    scale, posterior = case
    (low, high), (wide_low, wide_high) = (scale.interval(posterior, level) for level in levels)
    assert wide_low[0] <= low[0] <= scale.median(posterior)[0] <= high[0] <= wide_high[0]


@given(scales_and_rows(), st.floats(0.001, 0.999), st.floats(0, 1), st.data())
def test_moving_mass_up_never_lowers_a_quantile(
    case: tuple[AgeScale, Floats], q: float, share: float, data: st.DataObject
) -> None:
    scale, posterior = case
    source = data.draw(st.integers(0, len(scale) - 2))
    target = data.draw(st.integers(source + 1, len(scale) - 1))
    moved = posterior.copy()
    moved[0, target] += share * moved[0, source]
    moved[0, source] -= share * moved[0, source]
    before, after = scale.quantile(posterior, q)[0], scale.quantile(moved, q)[0]
    reach = scale.edges_years[-1]
    # Emptying a class opens a gap; rounding may then pick its other side at the same mass.
    cumulative = np.cumsum(moved[0])
    if np.abs(cumulative - q).min() > 1e-12:
        assert after >= before - 1e-9 * reach
    assert scale.expected(moved)[0] >= scale.expected(posterior)[0] - 1e-9 * reach


@given(scales_and_rows(), st.floats(0.01, 0.99))
def test_quantiles_move_smoothly_with_the_posterior(
    case: tuple[AgeScale, Floats], q: float
) -> None:
    scale, posterior = case
    nudged = posterior.copy()
    nudged[0, 0] += 1e-9
    steepest = np.max(np.diff(scale.edges_years)) / posterior.min()
    change = abs(scale.quantile(nudged, q)[0] - scale.quantile(posterior, q)[0])
    assert change <= 10 * 1e-9 * steepest + 1e-9


def test_rows_are_independent() -> None:
    rng = np.random.default_rng(3)
    posterior = rng.dirichlet(np.full(81, 0.1), size=50)
    low, high = DEFAULT.interval(posterior, 0.9)
    for i in range(50):
        one_low, one_high = DEFAULT.interval(posterior[i : i + 1], 0.9)
        assert (low[i], high[i]) == (one_low[0], one_high[0])


def test_no_rows_give_no_answers() -> None:
    nobody = np.empty((0, 81))
    assert DEFAULT.expected(nobody).shape == DEFAULT.median(nobody).shape == (0,)
    assert [bound.shape for bound in DEFAULT.interval(nobody, 0.9)] == [(0,), (0,)]


def test_float32_noise_is_put_right() -> None:
    clean = one_hot(DEFAULT, 30)
    noisy = (clean * 1.0009).astype(np.float32)
    noisy[0, 0] = -5e-7
    np.testing.assert_allclose(DEFAULT.normalise(noisy), clean, atol=1e-12)
    assert DEFAULT.expected(noisy)[0] == pytest.approx(30)
    assert noisy[0, 0] < 0, "the caller's array is left alone"


def test_interval_agrees_with_sampling() -> None:
    rng = np.random.default_rng(5)
    posterior = rng.dirichlet(np.ones(81))[None]
    classes = rng.choice(81, size=200_000, p=posterior[0])
    edges = DEFAULT.edges_years
    ages = np.sort(rng.uniform(edges[classes], edges[classes + 1]))
    low, high = DEFAULT.interval(posterior, 0.8)
    inside = bisect.bisect(ages.tolist(), high[0]) - bisect.bisect(ages.tolist(), low[0])
    assert inside / len(ages) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([0.5, 0.5, math.nan, 0, 0], "row 1 .*NaN"),
        ([0.5, 0.5, math.inf, 0, 0], "row 1 .*infinity"),
        ([0.5, 0.6, -0.1, 0, 0], "row 1 .*negative"),
        ([0.5, 0.5, -2e-6, 0, 0], "row 1 .*negative"),
        ([0, 0, 0, 0, 0], "row 1 .*zero"),
        ([0.5, 0.502, 0, 0, 0], "row 1 .*sum to 1"),
        ([0.5, 0.498, 0, 0, 0], "row 1 .*sum to 1"),
    ],
)
def test_bad_posteriors_are_refused(row: list[float], complaint: str) -> None:
    posterior = np.array([[1, 0, 0, 0, 0], row])
    for answer in (UNEVEN.expected, UNEVEN.median, lambda p: UNEVEN.interval(p, 0.9)):
        with pytest.raises(ValueError, match=complaint):
            answer(posterior)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (2, 6), (1, 2, 5)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[N, 5\], got"):
        UNEVEN.expected(np.full(shape, 0.2))


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_impossible_quantiles_are_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        UNEVEN.quantile(one_hot(UNEVEN, 2), q)


@pytest.mark.parametrize("level", [0, 1, -0.5, 2, math.nan])
def test_impossible_levels_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        UNEVEN.interval(one_hot(UNEVEN, 2), level)
