"""φ against torch's own functions: value, derivative, and γ = sup |φ'|."""

import pytest
import references
import torch
from torch import Tensor

from study import Layer
from study.base.errors import UserError
from study.engines.lowering import lower
from study.language.nonlinearities import NONLINEARITIES

# The slope of torch's own hardsigmoid, 1/6, is in single precision: not for the tests of layers.
TORCHS = {**references.PHIS, "hard-sigmoid": torch.nn.functional.hardsigmoid}
EXTREMES = [0.0, -0.0, 1e-300, -1e-300, 1e-8, -1e-8, 30.0, -30.0, 710.0, -710.0, 1e30, -1e30]


def engine(name: str, a: Tensor) -> Tensor:
    """φ(a) as a layer computes it: an Elman cell of one unit with W = 1 and nothing else."""
    layer = Layer("elman", 1, 1, phi=name, dtype=a.dtype, engine="reference")
    with torch.no_grad():
        layer.W.fill_(1.0)
        layer.U.zero_()
    return layer(a.reshape(1, -1, 1))[0].reshape(a.shape)


def slope(f, a: Tensor) -> Tensor:
    a = a.detach().clone().requires_grad_()
    return torch.autograd.grad(f(a).sum(), a)[0]


def test_every_nonlinearity_promised_is_there():
    assert set(references.PHIS) == set(NONLINEARITIES)
    assert len(NONLINEARITIES) == 15


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", references.PHIS)
def test_values_and_derivatives_equal_torchs(name, dtype):
    grid = torch.cat([torch.linspace(-8, 8, 4001), torch.tensor(EXTREMES)]).to(dtype)
    theirs = TORCHS[name]
    # one rounding more than torch: leaky-relu is a sum of two terms here
    rtol, atol = 3e-7, torch.finfo(dtype).tiny  # subnormal slopes have fewer digits
    if name in ("gelu", "silu", "hard-sigmoid", "scaled-tanh"):
        # 1 + erf(-5) or 1 - tanh² cancel, in torch's formulas and in these
        atol = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(engine(name, grid), theirs(grid), rtol=rtol, atol=atol)
    torch.testing.assert_close(
        slope(lambda a: engine(name, a), grid), slope(theirs, grid), rtol=rtol, atol=atol
    )


@pytest.mark.parametrize("name", references.PHIS)
def test_the_convention_at_zero_is_torchs(name):
    zero = torch.zeros(1, dtype=torch.float64)
    expected = {
        "tanh": 1.0,
        "relu": 0.0,
        "sigmoid": 0.25,
        "identity": 1.0,
        "leaky-relu": 0.01,
        "hard-sigmoid": 1 / 6,
        "hard-tanh": 1.0,
        "elu": 1.0,
        "selu": 1.0507009873554805 * 1.6732632423543772,
        "softplus": 0.5,
        "softsign": 1.0,
        "gelu": 0.5,
        "silu": 0.5,
        "sine": 1.0,
        "scaled-tanh": 1.7159 * 2 / 3,
    }
    assert slope(lambda a: engine(name, a), zero).item() == pytest.approx(expected[name])
    assert slope(references.PHIS[name], zero).item() == pytest.approx(expected[name])


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_gamma_is_the_largest_slope(name):
    grid = torch.linspace(-20, 20, 400_001, dtype=torch.float64)  # holds 0, where most have it
    largest = slope(lambda a: engine(name, a), grid).abs().max().item()
    assert largest == pytest.approx(NONLINEARITIES[name].gamma, rel=1e-6)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_the_symbolic_derivative_is_what_autograd_finds(name):
    phi = NONLINEARITIES[name]
    derivative = phi.expression.diff("a")
    grid = torch.tensor([-3.0, -0.7, 0.0, 0.2, 1.9], dtype=torch.float64)
    found = slope(lambda a: engine(name, a), grid)
    symbolic = torch.as_tensor(lower(derivative)({"a": grid})).expand(grid.shape)
    torch.testing.assert_close(symbolic.to(grid), found)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_nan_stays_nan(name):
    """A diverged activation must not look like a dead unit."""
    assert engine(name, torch.tensor([float("nan")])).isnan().all()


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_each_is_known_by_its_own_name(name):
    assert NONLINEARITIES[name].name == name


def test_an_unknown_one_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"no nonlinearity named 'tahn'; did you mean 'tanh'\?"):
        Layer("elman", 1, 1, phi="tahn")
