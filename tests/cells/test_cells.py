"""What is true of the catalogued cells as models, one step worked out by hand each."""

import math

import pytest
import torch
from cases import each
from sampling import first_states

from study import Layer
from study.cells import CELLS


def scalar_layer(name: str, phi: str = "tanh", **values: float) -> Layer:
    """One input, one unit, every parameter a given number, the rest 0."""
    layer = Layer(name, 1, 1, phi=phi, dtype=torch.float64)
    assert set(values) <= set(layer.cell.parameters)
    with torch.no_grad():
        for parameter, tensor in layer.named_parameters():
            tensor.fill_(values.get(parameter, 0.0))
    return layer


def one_step(layer: Layer, x: float, **state: float) -> dict[str, float]:
    given = {s: torch.tensor([[v]], dtype=torch.float64) for s, v in state.items()}
    _, last = layer(torch.tensor([[[x]]], dtype=torch.float64), given)
    return {s: v.item() for s, v in last.items()}


def sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def test_the_first_cells_are_there():
    assert {"elman", "lstm", "gru", "gru-torch"} <= set(CELLS)


def test_elman_by_hand():
    layer = scalar_layer("elman", W=0.7, U=-1.2, b=0.3)
    assert one_step(layer, 0.5, h=0.4)["h"] == pytest.approx(
        math.tanh(0.7 * 0.5 - 1.2 * 0.4 + 0.3), abs=1e-15
    )


def test_lstm_by_hand():
    layer = scalar_layer(
        "lstm", W_i=0.1, U_i=0.2, b_i=0.3, W_f=0.4, U_f=0.5, b_f=0.6, W_g=0.7, U_g=0.8, b_g=0.9,
        W_o=-0.1, U_o=-0.2, b_o=-0.3,
    )  # fmt: skip
    x, h, c = 1.5, -0.5, 2.0
    new_c = sigma(0.4 * x + 0.5 * h + 0.6) * c + sigma(0.1 * x + 0.2 * h + 0.3) * math.tanh(
        0.7 * x + 0.8 * h + 0.9
    )
    last = one_step(layer, x, h=h, c=c)
    assert last["c"] == pytest.approx(new_c, abs=1e-15)
    assert last["h"] == pytest.approx(sigma(-0.1 * x - 0.2 * h - 0.3) * math.tanh(new_c), abs=1e-15)


def test_gru_by_hand():
    layer = scalar_layer(
        "gru", W_r=0.1, U_r=0.2, b_r=0.3, W_z=0.4, U_z=0.5, b_z=0.6, W_n=0.7, U_n=0.8, b_n=0.9
    )
    x, h = 1.5, -0.5
    r, z = sigma(0.1 * x + 0.2 * h + 0.3), sigma(0.4 * x + 0.5 * h + 0.6)
    candidate = math.tanh(0.7 * x + 0.8 * (r * h) + 0.9)
    assert one_step(layer, x, h=h)["h"] == pytest.approx(z * h + (1 - z) * candidate, abs=1e-15)


def test_gru_torch_by_hand():
    layer = scalar_layer(
        "gru-torch", W_r=0.1, U_r=0.2, b_r=0.3, W_z=0.4, U_z=0.5, b_z=0.6, W_n=0.7, U_n=0.8,
        b_n=0.9, b_hn=-0.4,
    )  # fmt: skip
    x, h = 1.5, -0.5
    r, z = sigma(0.1 * x + 0.2 * h + 0.3), sigma(0.4 * x + 0.5 * h + 0.6)
    candidate = math.tanh(0.7 * x + 0.9 + r * (0.8 * h - 0.4))
    assert one_step(layer, x, h=h)["h"] == pytest.approx(z * h + (1 - z) * candidate, abs=1e-15)


def test_phi_is_where_the_paper_has_tanh():
    """LSTM: the candidate and the output, not the gates; GRU: the candidate."""
    lstm = scalar_layer("lstm", phi="relu", b_g=2.0, b_i=50.0, b_o=50.0)
    assert one_step(lstm, 0.0, h=0.0, c=3.0)["c"] == pytest.approx(0.5 * 3 + 2)
    assert one_step(lstm, 0.0, h=0.0, c=3.0)["h"] == pytest.approx(0.5 * 3 + 2)
    for name in ("gru", "gru-torch"):
        gru = scalar_layer(name, phi="relu", b_n=4.0)
        assert one_step(gru, 0.0, h=1.0)["h"] == pytest.approx(0.5 * 1 + 0.5 * 4)


# What becomes of 0.7 where it is not f times that: by f = σ(bias).
KEPT = {
    "lstm-b": lambda f: 0.7 * f * math.e / (1 - f + f * math.e),  # σ(bias + 1)
    "minlstm": lambda f: (0.7 * f + 0.5 * 0.5) / (f + 0.5),  # the two gates add up to 1
    "slstm": lambda f: 0.7 * min(1, f * math.exp(0.7)),  # the gates over the larger one, e^m f or 1
    "cfn": lambda f: f * math.tanh(0.7),
    "br": lambda f: f * 0.7 + (1 - f) * math.tanh(0.7),  # what is not kept is fed back
    "nbr": lambda f: f * 0.7 + (1 - f) * math.tanh(0.7),
}


@pytest.mark.parametrize("name", [n for n in CELLS if CELLS[n].forget_gate])
def test_the_bias_of_the_forget_gate_says_how_much_is_kept(name):
    """With every other number 0, a unit keeps σ(b) of its state: all at b = 50, none at -50."""
    layer = Layer(name, 2, 3, dtype=torch.float64, engine="reference")
    states = layer.cell.states
    carrier = next((s for s in ("c", "h") if s in states), states[0])
    start = {s: torch.full((1, 3), 0.7, dtype=torch.float64) for s in states}
    if "s_f" in states:  # a part of the gate's pre-activation, from the input before
        start |= {s: torch.zeros_like(v) for s, v in start.items() if s.startswith("s_")}
    for level in (50.0, 0.0, -50.0):
        with torch.no_grad():
            for parameter, tensor in layer.named_parameters():
                tensor.fill_(level if parameter == f"b_{layer.cell.forget_gate}" else 0.0)
        last = layer(torch.zeros(1, 1, 2, dtype=torch.float64), start)[1][carrier]
        kept = KEPT.get(name, lambda f: f * 0.7)(sigma(level))
        torch.testing.assert_close(last, torch.full_like(last, kept), rtol=0, atol=1e-12)


@each("name", CELLS)
def test_every_cell_hears_its_input_and_every_parameter_has_a_gradient(name):
    g = torch.Generator().manual_seed(1)
    layer = Layer(
        name, 2, 3, generator=g, dtype=torch.float64, biases="uniform", engine="reference"
    )
    x = torch.randn(4, 2, 2, generator=g, dtype=torch.float64, requires_grad=True)
    start = first_states(layer.cell, lambda: torch.randn(2, 3, generator=g, dtype=torch.float64))
    layer(x, start)[0].square().sum().backward()
    assert (x.grad != 0).any()
    for parameter, tensor in layer.named_parameters():
        assert (tensor.grad != 0).any(), parameter


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru-torch"])
def test_these_cells_are_bounded_with_tanh(name):
    """|h| <= 1: a mean of, or a gate on, values in [-1, 1]."""
    g = torch.Generator().manual_seed(2)
    layer = Layer(name, 2, 4, generator=g)
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(20)
    outputs, _ = layer(10 * torch.randn(50, 3, 2, generator=g))
    assert outputs.isfinite().all()
    assert outputs.abs().max() <= 1
