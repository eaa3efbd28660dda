"""Clipping: what must hold for any gradient, and that nothing about a bad one is hidden."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.clipping import CLIPPING
from study.errors import UserError

entries = st.floats(-1e6, 1e6, width=32)
gradients = st.lists(st.lists(entries, min_size=1, max_size=6), min_size=1, max_size=4)
thresholds = st.floats(2**-10, 2**10, width=32)


def tensors(given: list[list[float]]) -> list[torch.Tensor]:
    return [torch.tensor(values) for values in given]


def naive_norm(given: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(x) ** 2 for g in given for x in g.flatten().tolist()))


def with_threshold(name: str, threshold: float):
    parameters = {"threshold": threshold} if "threshold" in CLIPPING[name].model_fields else {}
    return CLIPPING.build({"name": name, **parameters})


@pytest.mark.parametrize("name", list(CLIPPING))
@settings(deadline=None)
@given(gradients, thresholds)
def test_evidence_is_the_naive_norm_and_whether_anything_changed(
    name: str, values: list[list[float]], threshold: float
) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    evidence = with_threshold(name, threshold)(given)
    # float32 sums of at most 24 squares
    assert evidence.norm_before == pytest.approx(naive_norm(before), rel=1e-5, abs=1e-30)
    if not evidence.acted:
        assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    elif evidence.norm_before > threshold * (1 + 1e-6) or name == "value":
        # A norm closer to the threshold is scaled by what float32 rounds to 1.
        assert any(not torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("name", list(CLIPPING))
@settings(deadline=None)
@given(gradients)
def test_far_below_the_threshold_every_bit_stays(name: str, values: list[list[float]]) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    assert not with_threshold(name, 1e9)(given).acted
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@settings(deadline=None)
@given(gradients, thresholds)
def test_norm_clipping_keeps_the_direction_and_meets_the_threshold(
    values: list[list[float]], threshold: float
) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    norm = naive_norm(before)
    evidence = with_threshold("norm", threshold)(given)
    if norm > threshold * (1 + 1e-5):
        assert evidence.acted
        assert naive_norm(given) == pytest.approx(threshold, rel=1e-5)
        for a, b in zip(given, before, strict=True):
            expected = b.double() * (threshold / norm)
            torch.testing.assert_close(a.double(), expected, rtol=1e-5, atol=1e-37)
    elif norm < threshold * (1 - 1e-5):
        assert not evidence.acted


@settings(deadline=None)
@given(gradients, thresholds)
def test_value_clipping_is_entry_by_entry(values: list[list[float]], threshold: float) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    evidence = with_threshold("value", threshold)(given)
    limit = torch.tensor(threshold)
    for a, b in zip(given, before, strict=True):
        expected = [min(max(x, -float(limit)), float(limit)) for x in b.tolist()]
        assert a.tolist() == pytest.approx(expected, rel=1e-6)
    assert evidence.acted == any(float(g.abs().max()) > threshold for g in before)


@pytest.mark.parametrize("name", list(CLIPPING))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_stays_visible(name: str, bad: float) -> None:
    given = [torch.tensor([3.0, bad]), torch.ones(2)]
    evidence = with_threshold(name, 1.0)(given)
    assert not math.isfinite(evidence.norm_before)


@pytest.mark.parametrize("name", list(CLIPPING))
@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e20, 1e30])
def test_the_norm_of_a_finite_gradient_is_finite_and_not_zero(name: str, size: float) -> None:
    # In float32 the squares of these over- or underflow; an exploding gradient that can still be
    # clipped must not count as a diverged trial.
    given = [torch.tensor([3 * size, 4 * size])]
    evidence = with_threshold(name, 1.0)(given)
    assert evidence.norm_before == pytest.approx(5 * size, rel=1e-6)
    if name == "norm" and size > 1:
        assert given[0].tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


@pytest.mark.parametrize("name", list(CLIPPING))
def test_a_zero_gradient_stays_zero(name: str) -> None:
    given = [torch.zeros(3)]
    evidence = with_threshold(name, 1.0)(given)
    assert (evidence.norm_before, evidence.acted) == (0.0, False)
    assert given[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["norm", "value"])
@pytest.mark.parametrize("threshold", [0, -1.0, math.inf, math.nan])
def test_a_threshold_must_be_positive_and_finite(name: str, threshold: float) -> None:
    with pytest.raises(UserError, match="threshold"):
        CLIPPING.build({"name": name, "threshold": threshold})
