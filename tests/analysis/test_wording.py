"""Numbers as they are printed."""

import math

import pytest

from analysis.data import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0021345, "0.00213"),
        (12.449, "12.4"),
        (669.4, "669"),
        (5297.0, "5,300"),
        (0.00001234, "1.23e-5"),
        (0, "0"),
        (math.inf, "∞"),
        (math.nan, "–"),
        (None, "–"),
        (-0.25, "-0.25"),
        (99.97, "100"),
    ],
)
def test_short(value: float | None, text: str) -> None:
    assert wording.short(value) == text


def test_words() -> None:
    assert wording.listing(["a", "b", "c"]) == "a, b and c"
    assert wording.counted(1, "run") == "1 run"
    assert wording.counted(2000, "run") == "2,000 runs"
    assert wording.share(3, 3, 0.4385, 1.0) == "3 of 3 [0.44, 1]"
    assert wording.span(0.1, 0.1) == "0.100"
    assert wording.steps_text(670.4) == "670"
    assert wording.steps_text(670.4, 50) == "over 50"
    assert wording.measured(0.8) == "0.800"
    assert wording.measured(150.2) == "150"
    assert wording.measured(5297.0) == "5,300"
    assert wording.steps_text(math.inf) == "no decay"
    assert [wording.duration(s) for s in (9, 600, 7200)] == ["9 s", "10 min", "2.0 h"]


@pytest.mark.parametrize(
    ("exponent", "text"),
    [
        (-39.4, "4·10⁻⁴⁰"),
        (-400.0, "10⁻⁴⁰⁰"),
        (-1.03, "0.093"),
        (0.0, "1"),
        (2.3, "200"),
        (5.0, "10⁵"),
        (5.999, "10⁶"),
        (-math.inf, "0"),
        (math.inf, "∞"),
    ],
)
def test_the_number_of_a_logarithm(exponent: float, text: str) -> None:
    assert wording.ten_to(exponent) == text
