"""Embedding, fully connected layers and readout against plain torch."""

import math

import pytest
import torch
from references import PHIS
from torch import Generator, nn

from study.base.errors import UserError
from study.language.nonlinearities import NONLINEARITIES
from study.networks.feedforward import Embedding, Perceptron, linear


def draws(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


# --- linear --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 3), (1, 1), (128, 10)])
def test_a_linear_layer_is_drawn_weight_first_then_bias(inputs, outputs):
    found, g = linear(inputs, outputs, draws(4)), draws(4)
    bound = 1 / math.sqrt(inputs)
    weight = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=g)
    bias = torch.empty(outputs).uniform_(-bound, bound, generator=g)
    assert torch.equal(found.weight, weight)
    assert torch.equal(found.bias, bias)
    assert type(found) is nn.Linear
    assert all(p.requires_grad and p.is_leaf and p.device.type == "cpu" for p in found.parameters())


def test_it_starts_in_the_range_of_torchs():
    torch.manual_seed(0)
    theirs, ours = nn.Linear(64, 500), linear(64, 500, draws())
    for name in ("weight", "bias"):
        a, b = (getattr(module, name).detach().abs() for module in (theirs, ours))
        assert a.max() <= 1 / 8  # 1/√64
        assert 0.99 / 8 < b.max() <= 1 / 8
        # |U[-b, b]| has the mean b/2 and the deviation b/√12: five standard errors of 500 draws
        assert float(b.mean()) == pytest.approx(1 / 16, abs=5 / 8 / math.sqrt(12 * 500))


@pytest.mark.parametrize(
    "make", [lambda g: linear(3, 4, g), lambda g: Embedding(3, 4, g), lambda g: _two(g)]
)
def test_all_draws_are_the_generators(make):
    before = torch.get_rng_state()
    first, again, other = make(draws(1)), make(draws(1)), make(draws(2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(*(m.parameters() for m in (first, again, other)), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    torch.manual_seed(7)
    one = make(None)
    torch.manual_seed(7)
    assert all(map(torch.equal, one.state_dict().values(), make(None).state_dict().values()))


def _two(generator: Generator | None) -> Perceptron:
    return Perceptron(3, 4, 2, "tanh", generator)


# --- embedding -----------------------------------------------------------------------------------


def test_an_embedding_of_one_hot_symbols_is_torchs():
    torch.manual_seed(11)
    theirs = nn.Embedding(6, 4)
    ours = Embedding(6, 4, draws(11))
    assert torch.equal(ours.weight, theirs.weight)  # N(0, 1), drawn alike
    symbols = torch.randint(6, (7, 3), generator=draws())
    found = ours(nn.functional.one_hot(symbols, 6).float())
    assert found.shape == (7, 3, ours.size) == (7, 3, 4)
    assert torch.equal(found, theirs(symbols))
    (found**3).sum().backward()
    (theirs(symbols) ** 3).sum().backward()
    assert torch.allclose(ours.weight.grad, theirs.weight.grad)


def test_padding_gives_zeros_and_learns_nothing():
    ours = Embedding(3, 4, draws())
    x = torch.zeros(2, 1, 3)
    x[0, 0, 1] = 1
    out = ours(x)
    assert not out[1].any()
    out.sum().backward()
    assert torch.equal(ours.weight.grad, torch.tensor([[0.0] * 4, [1.0] * 4, [0.0] * 4]))


def test_noise_on_the_inputs_moves_the_vectors_and_has_a_gradient():
    ours = Embedding(3, 4, draws()).double()
    x = torch.eye(3, dtype=torch.float64)[None]
    noise = 0.1 * torch.randn(1, 3, 3, generator=draws(), dtype=torch.float64)
    for k in range(3):
        moved = ours.weight[k] + sum(noise[0, k, j] * ours.weight[j] for j in range(3))
        assert torch.allclose(ours(x + noise)[0, k], moved)
    assert torch.autograd.gradcheck(ours, ((x + noise).requires_grad_(),))


# --- fully connected layers ----------------------------------------------------------------------


@pytest.mark.parametrize("phi", NONLINEARITIES)
def test_layers_equal_torchs(phi):
    ours, g = Perceptron(5, 4, 3, phi, draws(3)).double(), draws(3)
    theirs = [linear(*sizes, g).double() for sizes in ((5, 4), (4, 4), (4, 4))]
    x = torch.randn(6, 2, 5, generator=draws(), dtype=torch.float64)
    mine, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = plain
    for layer in theirs:
        expected = PHIS[phi](layer(expected))
    found = ours(mine)
    assert found.shape == (6, 2, ours.size) == (6, 2, 4)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-13)
    found.square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(mine.grad, plain.grad, rtol=1e-10, atol=1e-12)
    of_theirs = [p.grad for layer in theirs for p in layer.parameters()]
    for p, grad in zip(ours.parameters(), of_theirs, strict=True):
        assert torch.allclose(p.grad, grad, rtol=1e-10, atol=1e-12)


def test_without_layers_the_input_comes_out():
    ours = Perceptron(5, 4, 0, "relu", draws())
    x = torch.randn(2, 3, 5, generator=draws())
    assert ours(x) is x
    assert ours.size == 5
    assert list(ours.parameters()) == []


def test_parameters_are_named_by_layer_and_load_again():
    ours, other = Perceptron(5, 4, 2, "selu", draws()), Perceptron(5, 4, 2, "selu", draws(1))
    assert list(ours.state_dict()) == [
        f"layers.{k}.{n}" for k in (0, 1) for n in ("weight", "bias")
    ]
    assert sum(p.numel() for p in ours.parameters()) == 4 * (5 + 1) + 4 * (4 + 1)
    other.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 5, generator=draws())
    assert torch.equal(ours(x), other(x))
    assert "selu" in repr(ours)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Embedding(0, 4), "symbols must be a whole number, at least 1"),
        (lambda: Embedding(3, 2.0), "size must be a whole number"),
        (lambda: Perceptron(3, 4, -1, "tanh"), "depth must be a whole number, at least 0"),
        (lambda: Perceptron(3, 4, True, "tanh"), "depth must be a whole number"),
        (lambda: Perceptron(3, 0, 1, "tanh"), "units must be a whole number"),
        (lambda: Perceptron(3, 4, 1, "tahn"), "did you mean 'tanh'"),
    ],
)
def test_mistakes_are_told(make, told):
    with pytest.raises(UserError, match=told):
        make()
