"""Clipping: what must hold for any gradient and any rule, and that nothing about a bad one is hidden.

What each rule does to a gradient is checked against its source in tests/clipping/test_clipping_rules.py.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from study.base.errors import UserError
from study.clipping import CLIPPING, Clipped
from study.clipping.telemetry import curves

entries = st.floats(-1e6, 1e6, width=32)
gradients = st.lists(st.lists(entries, min_size=1, max_size=6), min_size=1, max_size=4)
thresholds = st.floats(2**-10, 2**10, width=32)

# The field that bounds the gradient, and what the global norm of the result is bounded by, in terms
# of the field's value, the number of parameters and the number of entries.
BOUNDS: dict[str, Any] = {
    "norm": ("threshold", lambda value, parameters, entries: value),
    "value": ("threshold", lambda value, parameters, entries: value * math.sqrt(entries)),
    "param-norm": ("threshold", lambda value, parameters, entries: value * math.sqrt(parameters)),
    # of parameters of norm 1, see `apply`
    "adaptive": ("ratio", lambda value, parameters, entries: value * math.sqrt(parameters)),
}
# What these do does not depend on how large the gradient is, but on what came before, or on nothing.
UNBOUNDED = {"none", "percentile", "signal", "skip"}


def tensors(given: list[list[float]]) -> list[torch.Tensor]:
    return [torch.tensor(values) for values in given]


def naive_norm(given: Sequence[torch.Tensor]) -> float:
    return math.sqrt(math.fsum(float(x) ** 2 for g in given for x in g.flatten().tolist()))


def naive_cosine(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    a = [x for g in one for x in g.flatten().tolist()]
    b = [x for g in other for x in g.flatten().tolist()]
    product = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return product / naive_norm(one) / naive_norm(other)


def made(name: str, bound: float | None = None) -> Any:
    return CLIPPING.build(
        {"name": name}
        if bound is None or name in UNBOUNDED
        else {"name": name, BOUNDS[name][0]: bound}
    )


def apply(rule: Any, given: list[torch.Tensor]) -> Clipped:
    """One step of a fresh run; every parameter has norm 1."""
    weights = [torch.full_like(g, 1 / math.sqrt(g.numel())) for g in given]
    return rule.start()(given, weights)


def test_every_rule_says_what_bounds_it() -> None:
    assert BOUNDS.keys() | UNBOUNDED == set(CLIPPING)


@pytest.mark.parametrize("name", list(CLIPPING))
@settings(deadline=None)
@given(gradients, thresholds)
def test_evidence_is_what_was_measured(
    name: str, values: list[list[float]], threshold: float
) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    evidence = apply(made(name, threshold), given)
    assert evidence.norm_before == pytest.approx(naive_norm(before), rel=1e-9, abs=1e-300)
    # A float32 entry after scaling is off by 2^-24 of itself, or by the smallest subnormal number.
    assert evidence.norm_after == pytest.approx(naive_norm(given), rel=3e-7, abs=1e-44)
    assert not evidence.skipped
    if naive_norm(before) == 0 or name == "signal":
        assert evidence.cosine is None
    else:
        assert evidence.cosine is not None
        assert 0 <= evidence.cosine <= 1
        if naive_norm(given) > 1e-35:  # above subnormal numbers
            assert evidence.cosine == pytest.approx(naive_cosine(before, given), rel=3e-6)
    if not evidence.acted:
        assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("name", list(CLIPPING))
@settings(deadline=None)
@given(gradients)
def test_far_below_the_threshold_every_bit_stays(name: str, values: list[list[float]]) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    assert not apply(made(name, 1e9), given).acted
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("name", list(BOUNDS))
@settings(deadline=None)
@given(gradients, thresholds)
def test_the_norm_after_is_within_the_bound(
    name: str, values: list[list[float]], threshold: float
) -> None:
    given = tensors(values)
    bound = BOUNDS[name][1](threshold, len(given), sum(g.numel() for g in given))
    evidence = apply(made(name, threshold), given)
    assert naive_norm(given) <= bound * (1 + 3e-7)  # float32
    if evidence.norm_before > bound * (1 + 1e-6):
        assert evidence.acted


@pytest.mark.parametrize("name", list(BOUNDS))
@settings(deadline=None)
@given(gradients, thresholds)
def test_clipping_twice_is_clipping_once(
    name: str, values: list[list[float]], threshold: float
) -> None:
    given = tensors(values)
    apply(made(name, threshold), given)
    once = [g.clone() for g in given]
    apply(made(name, threshold), given)
    for a, b in zip(given, once, strict=True):
        torch.testing.assert_close(a, b, rtol=3e-7, atol=1e-44)


@pytest.mark.parametrize("name", list(CLIPPING))
@settings(deadline=None)
@given(gradients, thresholds)
def test_no_entry_grows_or_changes_its_sign(
    name: str, values: list[list[float]], threshold: float
) -> None:
    given = tensors(values)
    before = [g.clone() for g in given]
    apply(made(name, threshold), given)
    for a, b in zip(given, before, strict=True):
        assert bool((a.abs() <= b.abs()).all())
        assert bool((a * b >= 0).all())


@settings(deadline=None)
@given(gradients, thresholds)
def test_only_clipping_by_parts_turns_the_gradient(
    values: list[list[float]], threshold: float
) -> None:
    assume(any(x for g in values for x in g))
    for name in ("none", "norm", "percentile", "skip"):
        assert apply(made(name, threshold), tensors(values)).cosine == 1.0
    # Of two parameters, one clipped and one not.
    for name in ("value", "param-norm", "adaptive"):
        given = [torch.tensor([8.0]), torch.tensor([0.5])]
        evidence = apply(made(name, 1.0), given)
        assert evidence.cosine == pytest.approx(8.25 / math.sqrt(64.25 * 1.25))


@pytest.mark.parametrize("name", list(CLIPPING))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_stays_visible(name: str, bad: float) -> None:
    given = [torch.tensor([3.0, bad]), torch.ones(2)]
    evidence = apply(made(name, 1.0), given)
    assert not math.isfinite(evidence.norm_before)
    assert evidence.cosine is None
    if name == "value":  # numpy.clip does so
        assert given[0][0] == 1.0
        assert evidence.acted
        assert (
            math.isnan(given[0][1])
            if math.isnan(bad)
            else float(given[0][1]) == math.copysign(1, bad)
        )
    else:
        assert not evidence.acted
        torch.testing.assert_close(given[0], torch.tensor([3.0, bad]), equal_nan=True)
        assert not math.isfinite(evidence.norm_after)


def test_value_clipping_has_not_acted_on_what_is_only_nan() -> None:
    given = [torch.tensor([0.5, math.nan])]
    evidence = apply(made("value", 1.0), given)
    assert (evidence.acted, evidence.cosine) == (False, None)
    assert given[0][0] == 0.5


@pytest.mark.parametrize("name", list(CLIPPING))
@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e20, 1e30, 6e37])
def test_the_norm_of_a_finite_gradient_is_finite_and_not_zero(name: str, size: float) -> None:
    # In float32 the squares of these over- or underflow; an exploding gradient that can still be
    # clipped must not count as a diverged trial.
    given = [torch.tensor([3 * size, 4 * size])]
    evidence = apply(made(name, 1.0), given)
    assert evidence.norm_before == pytest.approx(5 * size, rel=1e-6)
    if name in ("norm", "param-norm", "adaptive") and size > 1:
        assert given[0].tolist() == pytest.approx([0.6, 0.8], rel=1e-5)
    if name == "value" and size > 1:
        assert evidence.cosine == pytest.approx(7 / (5 * math.sqrt(2)))
    elif name != "signal":
        assert evidence.cosine == pytest.approx(1)


@pytest.mark.parametrize("name", list(CLIPPING))
def test_a_zero_gradient_stays_zero(name: str) -> None:
    given = [torch.zeros(3)]
    evidence = apply(made(name, 1.0), given)
    assert evidence == Clipped(0.0, 0.0, None, acted=False, skipped=False)
    assert given[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", list(CLIPPING))
def test_two_runs_of_one_rule_share_nothing(name: str) -> None:
    rule = made(name)
    draws = torch.Generator().manual_seed(0)
    steps = [[torch.randn(5, generator=draws) * 10**k] for k in (0, 2, -1, 1, 0)]
    steps.insert(2, [torch.tensor([math.inf])])

    def run() -> list[tuple[Clipped, list[float]]]:
        clipper, seen = rule.start(), []
        for step in steps:
            given = [g.clone() for g in step]
            evidence = clipper(given, [torch.ones_like(g) for g in given])
            seen.append((evidence, given[0].tolist()))
        return seen

    assert run() == run()


@pytest.mark.parametrize("name", list(BOUNDS))
@pytest.mark.parametrize("bound", [0, -1.0, math.inf, math.nan])
def test_a_threshold_must_be_positive_and_finite(name: str, bound: float) -> None:
    with pytest.raises(UserError, match=BOUNDS[name][0]):
        made(name, bound)


@pytest.mark.parametrize(
    ("settings_", "field"),
    [
        ({"name": "percentile", "percentile": 100.5}, "percentile"),
        ({"name": "percentile", "percentile": -1.0}, "percentile"),
        ({"name": "signal", "limit": 0.0}, "limit"),
        ({"name": "skip", "patience": 0}, "patience"),
        ({"name": "adaptive", "eps": 0.0}, "eps"),
    ],
)
def test_parameters_out_of_bounds_are_refused(settings_: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError, match=field):
        CLIPPING.build(settings_)


def test_only_signal_clipping_reaches_into_the_backward_pass() -> None:
    limits = {name: made(name).signal_limit for name in CLIPPING}
    assert limits.pop("signal") == 0.01
    assert set(limits.values()) == {None}
    assert CLIPPING.build({"name": "signal", "limit": 10.0}).signal_limit == 10.0


def test_curves_are_means_over_the_steps_that_were_made() -> None:
    evidence = [
        Clipped(4.0, 1.0, 0.5, acted=True),
        Clipped(2.0, 2.0, 1.0, acted=False),
        Clipped(0.0, 0.0, None, acted=False),
        Clipped(math.inf, math.inf, None, acted=False, skipped=True),
    ]
    assert curves(evidence) == {
        "train/grad_norm": 2.0,
        "train/grad_norm_after": 1.0,
        "train/clipped_share": pytest.approx(1 / 3),
        "train/grad_cosine": 0.75,
    }
    assert curves(evidence[3:]) == {}
    assert "train/grad_cosine" not in curves(evidence[2:3])
