"""Singular values of long products against 400 digits of arithmetic."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.probes import graded
from study.probes.graded import Graded

SIZE = 5


def draws(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def product_of(matrices: list[torch.Tensor]) -> Graded:
    found = Graded.start(torch.eye(matrices[0].shape[1], dtype=torch.float64)[None])
    for matrix in matrices:
        found = found.after(matrix @ found.q, torch.linalg.matrix_norm(matrix, 2)[None, None])
    return found


def exact(matrices: list[torch.Tensor]) -> list[float]:
    with mpmath.workdps(400):
        whole = mpmath.eye(matrices[0].shape[1])
        for matrix in matrices:
            whole = mpmath.matrix(matrix.tolist()) * whole
        values = mpmath.svd_r(whole, compute_uv=False)
        return [float(mpmath.log(v)) if v > mpmath.mpf(10) ** -390 else -math.inf for v in values]


@pytest.mark.parametrize("steps", [1, 7, 60])
def test_factors_of_many_sizes(steps: int) -> None:
    """Rows from 1 to 1e-6: after 60 steps the values are from e^0 to e^-800, beyond float64."""
    rows = torch.tensor([1, 0.9, 0.3, 1e-3, 1e-6], dtype=torch.float64)
    factors = [rows[:, None] * draws(k, SIZE, SIZE) for k in range(steps)]
    logs, resolved = product_of(factors).log_singular_values()
    assert resolved.all()
    # eps times 1e6, the largest over the smallest factor's size, times the number of steps
    assert logs[0].tolist() == pytest.approx(exact(factors), abs=1e-8)
    assert steps < 60 or float(logs[0, -1]) < -700


@given(seed=st.integers(0, 10_000), log_range=st.floats(0, 45), steps=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_what_is_called_resolved_is_right(seed: int, log_range: float, steps: int) -> None:
    """Factors L D R with D falling by up to 1e-20: what float64 has lost of them is not told."""
    fall = torch.linspace(0, -log_range, SIZE, dtype=torch.float64).exp()
    left, right = draws(seed, steps, SIZE, SIZE), draws(seed + 1, steps, SIZE, SIZE)
    factors = [(left[k] * fall) @ right[k] for k in range(steps)]
    logs, resolved = product_of(factors).log_singular_values()
    pairs = zip(logs[0].tolist(), exact(factors), resolved[0].tolist(), strict=True)
    for found, expected, known in pairs:
        if known:
            # 10 times the stated 1 %: rounding is estimated to first order
            assert found == pytest.approx(expected, abs=10 * graded.RESOLVED)
    assert resolved[0, 0]


def test_a_lost_dimension_is_not_resolved_and_costs_the_others_nothing() -> None:
    masks = [torch.tensor([1, 1, 1, 1, k % 2], dtype=torch.float64) for k in range(12)]
    factors = [mask[:, None] * draws(k, SIZE, SIZE) for k, mask in enumerate(masks)]
    logs, resolved = product_of(factors).log_singular_values()
    assert resolved[0].tolist() == [True] * 4 + [False]
    assert logs[0, :4].tolist() == pytest.approx(exact(factors)[:4], abs=1e-10)


def test_rotations_and_lapack_agree() -> None:
    found = product_of([draws(k, 8, 8) for k in range(2)])
    direct, rotated = found._directly(), found._by_rotations()
    assert direct is not None
    torch.testing.assert_close(rotated[0], direct[0], atol=1e-10, rtol=0)
    assert rotated[1].all()
    assert direct[1].all()


def test_equal_singular_values_and_an_odd_size() -> None:
    turns = [torch.linalg.qr(draws(k, 7, 7)).Q / 2 for k in range(400)]
    logs, resolved = product_of(turns).log_singular_values()
    assert resolved.all()
    assert logs[0].tolist() == pytest.approx([-400 * math.log(2)] * 7, abs=1e-11)


def test_nothing_is_left_of_zero() -> None:
    found = product_of([torch.zeros(3, 3, dtype=torch.float64), draws(0, 3, 3)])
    logs, resolved = found.log_singular_values()
    assert logs.tolist() == [[-math.inf] * 3]
    assert not resolved.any()


def test_several_at_once_are_each_as_alone() -> None:
    many = [draws(k, 3, 4, 4) * torch.tensor([1, 1e-2, 1e-4, 1e-6]) for k in range(9)]
    found = Graded.start(torch.eye(4, dtype=torch.float64).repeat(3, 1, 1))
    for factor in many:
        found = found.after(factor @ found.q, factor.new_zeros(3, 1))
    logs, _ = found.log_singular_values()
    for b in range(3):
        alone = product_of([factor[b] for factor in many]).log_singular_values()[0][0]
        torch.testing.assert_close(logs[b], alone, atol=1e-9, rtol=0)


def test_what_is_smaller_than_an_unresolved_value_is_in_no_known_place() -> None:
    one = torch.eye(3, dtype=torch.float64)[None]
    logs = torch.tensor([[0.0, -10, -20]], dtype=torch.float64)
    errors = torch.tensor([[0.0, 1, 0]], dtype=torch.float64)
    found, resolved = Graded(one, logs, one, errors, torch.zeros_like(errors)).log_singular_values()
    assert found[0, 0] == 0
    assert resolved[0].tolist() == [True, False, False]
