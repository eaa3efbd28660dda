"""Earlier states and the step's index in equations: h[t-5] and t, on the reference engine."""

from math import floor

import pytest
import torch
from torch import Tensor

from study import Cell, Layer
from study.base.errors import UserError
from study.language.expressions import function_of
from study.language.notation import LONGEST_DELAY, EquationError


def cell(equations: str, state: str = "h") -> Cell:
    return Cell(name="written", state=state, equations=equations, source="test")


def layer_of(equations: str, state: str = "h", inputs: int = 2, hidden: int = 3) -> Layer:
    g = torch.Generator().manual_seed(0)
    return Layer(
        cell(equations, state), inputs, hidden, generator=g, dtype=torch.float64, engine="reference"
    )


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Two states with delays of their own, one of them inside a matrix product and used twice.
TWO = "h' = phi(W x + U (h[t-3]) + 0.3*c[t-2])*c\nc' = 0.5*c[t-4] - 0.2*h[t-3] + U_c h"


def two_by_hand(layer: Layer, x: Tensor, past: dict[str, list[Tensor]]) -> tuple[Tensor, ...]:
    """``past``: by state its earlier values, the newest last."""
    h, c = list(past["h"]), list(past["c"])
    for at in x:
        new_h = torch.tanh(at @ layer.W.T + h[-3] @ layer.U.T + 0.3 * c[-2]) * c[-1]
        new_c = 0.5 * c[-4] - 0.2 * h[-3] + h[-1] @ layer.U_c.T
        h.append(new_h)
        c.append(new_c)
    return torch.stack(h[3:]), torch.stack(c[4:])


def test_delays_reach_as_far_back_as_they_say():
    layer = layer_of(TWO, "h c")
    assert layer.cell.states == ("h", "c", "h[t-2]", "h[t-3]", "c[t-2]", "c[t-3]", "c[t-4]")
    x = normal(1, 9, 2, 2).requires_grad_()
    past = {
        "h": [normal(k, 2, 3).requires_grad_() for k in range(3)],
        "c": [normal(k, 2, 3).requires_grad_() for k in range(5, 9)],
    }
    start = {"h": past["h"][-1], "c": past["c"][-1]}
    start |= {f"h[t-{k}]": past["h"][-k] for k in (2, 3)}
    start |= {f"c[t-{k}]": past["c"][-k] for k in (2, 3, 4)}
    outputs, last = layer(x, start)
    h, c = two_by_hand(layer, x, past)
    torch.testing.assert_close(outputs, h, rtol=0, atol=1e-13)
    for k in (1, 2, 3, 4):
        torch.testing.assert_close(last["c" if k == 1 else f"c[t-{k}]"], c[-k], rtol=0, atol=1e-13)
    leaves = [x, *past["h"], *past["c"], *layer.parameters()]
    weight = normal(30, *h.shape)
    found = torch.autograd.grad((outputs * weight).sum(), leaves)
    expected = torch.autograd.grad((h * weight).sum(), leaves)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 5, LONGEST_DELAY])
def test_a_pulse_comes_back_after_k_steps_and_no_sooner(k):
    layer = layer_of(f"h' = W x + h[t-{k}]", inputs=1, hidden=1)
    with torch.no_grad():
        layer.W.fill_(1.0)
    x = torch.zeros(2 * k + 3, 1, 1, dtype=torch.float64)
    x[1] = 1.0
    heard = layer(x)[0].flatten().nonzero().flatten()
    assert heard.tolist() == [1, 1 + k, 1 + 2 * k]


def test_one_step_back_is_the_state_itself():
    assert cell("h' = phi(W x + U h[t-1])").states == ("h",)
    a, b = layer_of("h' = phi(W x + U h[t-1]) - h[t-1]"), layer_of("h' = phi(W x + U h) - h")
    x = normal(1, 5, 2, 2)
    assert torch.equal(a(x)[0], b(x)[0])


@pytest.mark.parametrize(
    "right", ["U h[t-3]", "U (h[t-3])", "U h[t - 3]", "U(h[ t-3 ])", "(U h[t-3])"]
)
def test_spellings_of_a_delay_under_a_matrix(right):
    c = cell(f"h' = W x + {right} + b")
    assert c.states == ("h", "h[t-2]", "h[t-3]")
    assert c.recurrent_matrices == ("U",)
    assert cell(str(c.written[0])).states == c.states


# The step's index in a product, under floor, and beside a delay: a held sequence must hold it too.
CLOCK = "r = t/3 - floor(t/3)\nh' = phi(W x + 0.9*h[t-2])*(1 - step(r)) + h*step(r) + 0.01*t"


def test_the_index_counts_from_zero():
    layer = layer_of("h' = 0*h + t")
    outputs, last = layer(normal(0, 5, 2, 2))
    assert outputs[:, 1, 2].tolist() == [0, 1, 2, 3, 4]
    assert last["t"].tolist() == [[5.0] * 3] * 2


def test_the_index_and_floor_by_hand():
    layer = layer_of(CLOCK)
    x = normal(1, 12, 1, 2)
    h, before = torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    for t, output in enumerate(layer(x)[0]):
        moved = torch.tanh(x[t] @ layer.W.T + 0.9 * before)
        h, before = (moved if t == 3 * floor(t / 3) else h) + 0.01 * t, h
        torch.testing.assert_close(output, h, rtol=0, atol=1e-13)


@pytest.mark.parametrize("equations", [CLOCK, TWO])
def test_two_pieces_are_one_sequence(equations):
    """What carries delays and the index is part of the state that is handed on."""
    layer = layer_of(equations, "h c" if equations is TWO else "h")
    x = normal(1, 11, 2, 2)
    whole, end = layer(x)
    first, state = layer(x[:5])
    second, last = layer(x[5:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-14)
    for name, value in end.items():
        torch.testing.assert_close(last[name], value, rtol=0, atol=1e-14)


@pytest.mark.parametrize("equations", [CLOCK, TWO])
def test_a_sequence_that_ends_sooner_is_one_of_its_own(equations):
    layer = layer_of(equations, "h c" if equations is TWO else "h")
    x, lengths = normal(1, 9, 3, 2), [4, 9, 1]
    outputs, last = layer(x, lengths=torch.tensor(lengths))
    for b, n in enumerate(lengths):
        alone, end = layer(x[:n, b : b + 1])
        torch.testing.assert_close(outputs[:n, b : b + 1], alone, rtol=0, atol=1e-14)
        for name, value in end.items():
            torch.testing.assert_close(last[name][b : b + 1], value, rtol=0, atol=1e-14)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ("h[t-0]", "an earlier value of h is h[t-2] to h[t-64]"),
        ("h[t-65]", "an earlier value of h is h[t-2] to h[t-64]"),
        ("h[t-99999999999999999999]", "an earlier value of h"),
        ("h[t+1]", "an earlier value of h"),
        ("h[t]", "an earlier value of h"),
        ("h[t--1]", "an earlier value of h"),
        ("h[t-1.0]", "an earlier value of h"),
        ("h[t-True]", "an earlier value of h"),
        ("h[t-h]", "an earlier value of h"),
        ("h[t-1-1]", "an earlier value of h"),
        ("h[2-t]", "an earlier value of h"),
        ("h[s-2]", "an earlier value of h"),
        ("h[-2]", "an earlier value of h"),
        ("h[t-2, 1]", "an earlier value of h"),
        ("h[t-2:t]", "an earlier value of h"),
        ("h[t-2][t-2]", "not part of the equation language"),
        ("(h*h)[t-2]", "not part of the equation language"),
        ("h[t-2](h)", "not part of the equation language"),
        ("U x[t-2]", "only a state has earlier values, x is none; states: h"),
        ("g[t-2]", "only a state has earlier values, g is none"),
        ("h'[t-2]", "only a state has earlier values, h' is none"),
        ("b[t-2]", "only a state has earlier values, b is none"),
        ("t[t-2]", "only a state has earlier values, t is none"),
        ("nobody[t-2]", "only a state has earlier values, nobody is none"),
        ("W (h[t-2] + x)", "x has I entries"),
        ("W (t + x)", "x has I entries"),
        ("W x + W t", "applied both to the input and to a state"),
        ("t(h)", "no function named 't'"),
        ("t h", "write t*h to multiply"),
    ],
)
def test_what_is_no_earlier_value(right, said):
    with pytest.raises(EquationError) as caught:
        cell(f"g = U_g h\nh' = g + {right}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("equations", ["t = U h\nh' = t", "h' = U h\nt' = h", "h[t-2] = h\nh' = h"])
def test_the_index_and_earlier_values_are_not_assigned(equations):
    with pytest.raises(EquationError):
        cell(equations)


def test_neither_the_index_nor_a_delay_is_a_name_for_a_state():
    for state in ("t", "h t", "h[t-2]", "h[t-2] h"):
        with pytest.raises(EquationError):
            cell("h' = W x\nt' = h", state)


@pytest.mark.parametrize("text", ["a + t", "a[t-2]", "t"])
def test_a_nonlinearity_knows_no_time(text):
    with pytest.raises(EquationError):
        function_of("a", text)


def test_a_state_given_without_its_past_is_refused():
    layer = layer_of("h' = phi(W x + h[t-3]) + t")
    with pytest.raises(UserError, match=r"has the states h, h\[t-2\], h\[t-3\], t, got h$"):
        layer(normal(0, 2, 1, 2), {"h": torch.zeros(1, 3, dtype=torch.float64)})


# --- edits and typesetting ----------------------------------------------------------------------


def test_replacing_keeps_the_delays_of_the_other_lines():
    c = cell("g = sigmoid(U_g h[t-4] + W_g x)\nh' = g*h[t-2] + t/10")
    edited = c.replace({"h'": "g*h[t-7]"})
    assert "g = sigmoid(U_g h[t-4] + W_g x)" in edited.equations
    assert [s for s in edited.states if s == "t"] == []
    assert len(edited.states) == 7
    assert c.replace(g="W_g x").states == ("h", "h[t-2]", "t")


def test_delays_and_the_index_are_typeset():
    lines = cell("h' = U h[t-5] + p*h[t-1] + t/4 + h*W x").latex()
    assert lines == [r"h_{t} = U h_{t-5} + p \odot h_{t-1} + \frac{t}{4} + h_{t-1} \odot W x_{t}"]
