"""The public layer, as PyTorch code meets it."""

import copy
import io
import math
import pickle

import pytest
import torch
from cases import each
from torch import Generator, nn
from torch.nn.utils import parametrize

from study import Cell, Layer, StateGradients
from study.base.errors import UserError
from study.cells import CELLS


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_parameters_have_the_names_and_shapes_of_the_equations():
    layer = Layer("lstm", input_size=3, hidden_size=5, phi="tanh", generator=generator())
    assert isinstance(layer, nn.Module)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes == {
        f"{kind}_{k}": shape
        for k in "ifgo"
        for kind, shape in (("W", (5, 3)), ("U", (5, 5)), ("b", (5,)))
    }
    assert layer.U_i is layer.get_parameter("U_i")


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru-torch"])
def test_a_recurrent_matrix_acts_from_the_left(name):
    """U h, not h U: with one non-zero entry U[1,0], unit 0 moves unit 1."""
    layer = Layer(name, 2, 3, dtype=torch.float64)
    matrix = layer.cell.recurrent_matrices[-1]
    h = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    start = {s: h if s == layer.cell.output else torch.ones_like(h) for s in layer.cell.states}
    x = torch.zeros(1, 1, 2, dtype=torch.float64)
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
        before = layer(x, start)[0][0, 0]
        getattr(layer, matrix)[1, 0] = 2.0
        moved = (layer(x, start)[0][0, 0] - before).nonzero().flatten()
    assert moved.tolist() == [1]


@each("name", CELLS)
def test_the_same_seed_gives_the_same_bytes(name):
    a, b = (Layer(name, 3, 4, generator=generator(5)) for _ in range(2))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    c = Layer(name, 3, 4, generator=generator(6))
    same = all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))
    parameters = a.cell.parameters.values()
    assert same == all(p.is_fixed for p in parameters if p.columns is not None)  # nothing to draw
    # and single precision is the rounded double
    d = Layer(name, 3, 4, generator=generator(5), dtype=torch.float64)
    for p, q in zip(a.parameters(), d.parameters(), strict=True):
        assert p.dtype == torch.float32
        assert torch.equal(p, q.float())


def test_the_global_generator_and_dtype_are_the_defaults():
    torch.manual_seed(3)
    a = Layer("gru", 2, 3)
    torch.manual_seed(3)
    b = Layer("gru", 2, 3)
    assert torch.equal(a.U_n, b.U_n)
    assert a.U_n.dtype == torch.get_default_dtype()


def test_a_given_generator_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    Layer("lstm", 2, 3, generator=generator(), recurrent="orthogonal", biases="uniform")
    assert torch.equal(torch.get_rng_state(), before)


def test_zeros_are_the_default_state():
    layer = Layer("lstm", 2, 3, generator=generator())
    x = torch.randn(4, 5, 2, generator=generator(1))
    zeros = {s: torch.zeros(5, 3) for s in "hc"}
    assert torch.equal(layer(x)[0], layer(x, zeros)[0])
    assert torch.equal(layer(x)[0], layer(x, layer.initial_state(x))[0])


def test_the_order_of_the_states_given_does_not_matter():
    layer = Layer("lstm", 2, 3, generator=generator())
    x = torch.randn(4, 5, 2, generator=generator(1))
    h, c = torch.randn(2, 5, 3, generator=generator(2))
    assert torch.equal(layer(x, {"h": h, "c": c})[0], layer(x, {"c": c, "h": h})[0])


@each("name", CELLS)
def test_state_dict_copies_and_pickles_compute_the_same(name):
    layer = Layer(name, 2, 3, generator=generator(), engine="reference")
    with torch.no_grad():
        for p in layer.parameters():  # all may start at constants
            p.add_(0.1)
    x = torch.randn(4, 5, 2, generator=generator(1))
    expected = layer(x)[0]
    other = Layer(name, 2, 3, generator=generator(9), engine="reference")
    assert not torch.equal(other(x)[0], expected)
    saved = io.BytesIO()
    torch.save(layer.state_dict(), saved)
    saved.seek(0)
    other.load_state_dict(torch.load(saved, weights_only=True))
    copies = [other, copy.deepcopy(layer)]
    if not any(parametrize.is_parametrized(m) for m in layer.modules()):
        assert set(layer.state_dict()) == set(layer.cell.parameters)
        copies.append(pickle.loads(pickle.dumps(layer)))  # noqa: S301  # torch pickles no others
    for again in copies:
        assert torch.equal(again(x)[0], expected)
        for parameter in layer.cell.parameters:
            assert torch.equal(getattr(again, parameter), getattr(layer, parameter))


def test_a_changed_copy_leaves_the_original_alone():
    layer = Layer("elman", 2, 3, generator=generator())
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.U.zero_()
    assert (layer.U != 0).any()


def test_double_converts_a_layer():
    layer = Layer("gru", 2, 3, generator=generator()).double()
    assert layer(torch.zeros(2, 1, 2, dtype=torch.float64))[0].dtype == torch.float64


def test_a_layer_inside_a_module_learns():
    """One Adam loop on the mean of eight inputs: any PyTorch code may use it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Layer("gru", 1, 8, generator=generator())
            self.readout = nn.Linear(8, 1)
            nn.init.zeros_(self.readout.weight)
            nn.init.zeros_(self.readout.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.readout(self.layer(x)[0][-1])

    net, g = Net(), generator(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        x = torch.randn(8, 32, 1, generator=g)
        loss = (net(x) - x.mean(dim=0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # The best constant is at Var(mean of 8) = 1/8.
    assert sum(losses[-10:]) / 10 < 0.25 / 8


def test_inference_and_no_grad_run_with_a_recorder():
    layer = Layer("lstm", 2, 3, generator=generator())
    x = torch.zeros(2, 1, 2)
    with torch.no_grad():
        assert not layer(x, recorder=StateGradients())[0].requires_grad
    with torch.inference_mode():
        layer(x)


def test_a_cell_of_ones_own():
    cell = Cell(name="leaky", state="h", equations="h' = 0.9*h + 0.1*phi(W x + U h)", source="test")
    layer = Layer(cell, 2, 3, phi="identity", dtype=torch.float64, generator=generator())
    x = torch.zeros(3, 1, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.U.zero_()
    start = {"h": torch.ones(1, 3, dtype=torch.float64)}
    assert layer(x, start)[0][-1, 0, 0].item() == pytest.approx(0.9**3)


def test_an_empty_batch_is_an_empty_answer():
    assert Layer("lstm", 2, 3)(torch.zeros(4, 0, 2))[0].shape == (4, 0, 3)


def test_a_long_sequence_runs():
    """A thousand steps, forward and back, within the recursion limit."""
    layer = Layer("elman", 1, 2, generator=generator())
    layer(torch.zeros(1000, 1, 1))[0][-1].sum().backward()
    assert layer.b.grad.isfinite().all()


def test_its_picture_as_text():
    assert "lstm" in repr(Layer("lstm", 2, 3))
    assert "relu" in repr(Layer("elman", 2, 3, phi="relu"))


# --- mistakes -----------------------------------------------------------------------------------


def told(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_names():
    assert "did you mean 'lstm'?" in told(lambda: Layer("lstmm", 2, 3))
    assert "no cell named 'None'" in told(lambda: Layer(None, 2, 3))
    assert "did you mean 'sigmoid'?" in told(lambda: Layer("lstm", 2, 3, phi="sigmod"))
    assert "did you mean 'xavier'?" in told(lambda: Layer("lstm", 2, 3, inputs="xavir"))


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_below_one(size):
    assert f"input_size must be a whole number, at least 1 (got {size})" in told(
        lambda: Layer("lstm", size, 3)
    )
    assert f"hidden_size must be a whole number, at least 1 (got {size})" in told(
        lambda: Layer("lstm", 3, size)
    )


@pytest.mark.parametrize("shape", [(4, 2), (4, 1, 3), (0, 1, 2), (2,), (1, 1, 1, 2)])
def test_wrong_inputs(shape):
    assert "x must be (T, B, 2)" in told(lambda: Layer("lstm", 2, 3)(torch.zeros(shape)))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"h": (1, 3)}, "states h, c, got h"),
        ({}, "got none"),
        ({"h": (1, 3), "c": (1, 3), "q": (1, 3)}, "got h, c, q"),
        ({"h": (1, 3), "c": (1, 4)}, "state c must be (1, 3)"),
        ({"h": (3,), "c": (1, 3)}, "state h must be (1, 3)"),
    ],
)
def test_wrong_states(state, said):
    given = {name: torch.zeros(shape) for name, shape in state.items()}
    assert said in told(lambda: Layer("lstm", 2, 3)(torch.zeros(4, 1, 2), given))


@pytest.mark.parametrize("size", [3.5, "3", None, math.inf])
def test_sizes_that_are_no_whole_numbers(size):
    told(lambda: Layer("lstm", 2, size))
