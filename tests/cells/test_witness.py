"""The witnesses against torch.nn, against one another, and against the limits their sources state."""

import pytest
import torch
from torch import Tensor
from witness import WITNESSES, States, Witness, mv

SIZES = {"B": 3, "I": 4, "H": 4, "S": 2, "O": 2, "K": 3}
EXACT = {"atol": 1e-12, "rtol": 0.0}  # float64, a few operations a step


def draw(shape: tuple[str, ...], generator: torch.Generator) -> Tensor:
    sizes = [SIZES[size] for size in shape]
    return torch.randn(sizes, generator=generator, dtype=torch.float64) * 0.5


def drawn(cell: Witness, generator: torch.Generator) -> dict[str, Tensor]:
    return {name: draw(shape, generator) for name, shape in cell.parameters.items()}


def started(cell: Witness, generator: torch.Generator) -> States:
    s = {name: draw(shape, generator) for name, shape in cell.states.items()}
    if "t" in s:
        s["t"] = torch.zeros(())
    if "n" in s:
        s["n"] = s["n"].abs() + 1  # sLSTM's normalizer is a sum of exponentials
    return s


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def both(
    first: str, second: str, generator: torch.Generator, **edits: Tensor
) -> tuple[States, States]:
    """One step of two cells that share the parameters and states they have in common."""
    a, b = WITNESSES[first], WITNESSES[second]
    p = drawn(a, generator) | drawn(b, generator) | edits
    s = started(a, generator) | started(b, generator)
    x = draw(("B", "I"), generator)

    def step(cell: Witness) -> States:
        return cell({k: p[k] for k in cell.parameters}, x, {k: s[k] for k in cell.states})

    return step(a), step(b)


@pytest.mark.parametrize("name", sorted(WITNESSES))
def test_states_keep_their_shapes_and_sequences_of_a_batch_stay_apart(
    name: str, generator: torch.Generator
) -> None:
    cell = WITNESSES[name]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    new = cell(p, x, s)
    assert new.keys() == s.keys()
    order = torch.tensor([2, 0, 1])

    def permuted(value: Tensor) -> Tensor:
        return value if not value.ndim else value.index_select(-2, order)

    other = cell(p, permuted(x), {k: permuted(v) for k, v in s.items()})
    for state, value in new.items():
        assert value.shape == s[state].shape
        assert torch.isfinite(value).all()
        torch.testing.assert_close(other[state], permuted(value), **EXACT)


@pytest.mark.parametrize("name", sorted(WITNESSES))
def test_every_parameter_matters(name: str, generator: torch.Generator) -> None:
    cell = WITNESSES[name]
    p = {k: v.requires_grad_() for k, v in drawn(cell, generator).items()}
    x = torch.stack([draw(("B", "I"), generator) for _ in range(4)])
    outputs, _ = cell.run(p, x, started(cell, generator))
    gradients = torch.autograd.grad(outputs.square().sum(), list(p.values()), allow_unused=True)
    dead = [k for k, g in zip(p, gradients, strict=True) if g is None or not g.abs().sum()]
    assert not dead


@pytest.mark.parametrize("name", sorted(WITNESSES))
def test_parameters_it_does_not_list_are_refused(name: str, generator: torch.Generator) -> None:
    cell = WITNESSES[name]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    with pytest.raises(KeyError, match="b_nobody"):
        cell(p | {"b_nobody": torch.zeros(1)}, x, s)
    required = next(k for k in cell.parameters if k not in cell.optional)
    with pytest.raises(KeyError, match=required):
        cell({k: v for k, v in p.items() if k != required}, x, s)


TORCH_CELLS = {
    "elman": (torch.nn.RNNCell, "h", None),
    "lstm": (torch.nn.LSTMCell, "ifgo", None),
    "gru-torch": (torch.nn.GRUCell, "rzn", "b_un"),
}


@pytest.mark.parametrize("name", TORCH_CELLS)
def test_against_torch_nn(name: str, generator: torch.Generator) -> None:
    make, gates, hidden_bias = TORCH_CELLS[name]
    cell = WITNESSES[name]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    module = make(SIZES["I"], SIZES["H"], dtype=torch.float64)
    zero = torch.zeros(SIZES["H"], dtype=torch.float64)
    hidden = [zero] * len(gates)
    if hidden_bias:
        hidden[-1] = p[hidden_bias]
    with torch.no_grad():
        module.weight_ih.copy_(torch.cat([p[f"W_{g}"] for g in gates]))
        module.weight_hh.copy_(torch.cat([p[f"U_{g}"] for g in gates]))
        module.bias_ih.copy_(torch.cat([p[f"b_{g}"] for g in gates]))
        module.bias_hh.copy_(torch.cat(hidden))
    expected = module(x, (s["h"], s["c"]) if "c" in s else s["h"])
    new = cell(p, x, s)
    torch.testing.assert_close(new["h"], expected[0] if "c" in s else expected, **EXACT)
    if "c" in s:
        torch.testing.assert_close(new["c"], expected[1], **EXACT)


ZERO = torch.zeros((), dtype=torch.float64)
ONE = torch.ones((), dtype=torch.float64)
NEVER, ALWAYS = ZERO - 1e3, ZERO + 1e3  # a bias that shuts or opens a gate to the last bit
SAME = [
    ("leaky", "elman", {"p_alpha": ONE}),
    ("gated-leaky", "elman", {"b_g": ALWAYS}),
    ("lstm-peephole", "lstm", {"p_i": ZERO, "p_f": ZERO, "p_o": ZERO}),
    ("lstm-np", "lstm", {}),
    ("lstm-nig", "lstm-peephole", {"b_i": ALWAYS}),
    ("lstm-nfg", "lstm-peephole", {"b_f": ALWAYS}),
    ("lstm-nog", "lstm-peephole", {"b_o": ALWAYS}),
    ("lstm-f", "lstm-b", {"b_f": ALWAYS}),
    ("lstm-i", "lstm-b", {"b_i": ALWAYS}),
    ("lstm-o", "lstm-b", {"b_o": ALWAYS}),  # tanh is 1 there too
    ("skip-k", "skip-only-k", {"U_h": torch.zeros(4, 4, dtype=torch.float64)}),
    ("orthogonal-rnn", "elman", {}),
]


@pytest.mark.parametrize(("first", "second", "edits"), SAME, ids=[f"{a}={b}" for a, b, _ in SAME])
def test_one_cell_is_another_in_the_limit(
    first: str, second: str, edits: dict[str, Tensor], generator: torch.Generator
) -> None:
    a, b = both(first, second, generator, **edits)
    torch.testing.assert_close(a["h"], b["h"], **EXACT)


def test_full_gate_recurrence_without_it_is_vanilla(generator: torch.Generator) -> None:
    none = {f"U_{a}{b}": torch.zeros(4, 4, dtype=torch.float64) for a in "ifo" for b in "ifo"}
    a, b = both("lstm-fgr", "lstm-peephole", generator, **none)
    torch.testing.assert_close(a["h"], b["h"], **EXACT)


def test_the_lstm_of_1997_keeps_its_ranges(generator: torch.Generator) -> None:
    cell = WITNESSES["lstm-1997"]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    new = cell(p | {"b_g": ALWAYS, "b_i": ALWAYS, "b_o": ALWAYS}, x, s)
    torch.testing.assert_close(new["c"], s["c"] + 2, **EXACT)
    assert new["h"].abs().max() < 1
    torch.testing.assert_close(new["h"], torch.tanh(new["c"] / 2), **EXACT)


def test_slstm_first_step_does_not_need_its_exception(generator: torch.Generator) -> None:
    """From zeros the special case changes m, and by it no output, at this step or the next."""
    cell = WITNESSES["slstm"]
    p, x = drawn(cell, generator), draw(("B", "I"), generator)
    zeros = {k: torch.zeros(SIZES["B"], SIZES["H"], dtype=torch.float64) for k in cell.states}
    first = cell(p, x, zeros)
    z = torch.tanh(mv(p["W_z"], x) + p["b_z"])
    o = torch.sigmoid(mv(p["W_o"], x) + p["b_o"])
    torch.testing.assert_close(first["h"], o * z, **EXACT)
    shifted = {**first, "m": first["m"] + 1.5, "c": first["c"], "n": first["n"]}
    scale = torch.exp(ZERO - 1.5)
    shifted["c"], shifted["n"] = first["c"] * scale, first["n"] * scale
    torch.testing.assert_close(cell(p, x, first)["h"], cell(p, x, shifted)["h"], **EXACT)


def test_janet_is_the_authors_code_line(generator: torch.Generator) -> None:
    cell = WITNESSES["janet"]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    f, j = (mv(p[f"W_{k}"], x) + mv(p[f"U_{k}"], s["h"]) + p[f"b_{k}"] for k in "fc")
    new = s["h"] * torch.sigmoid(f) + torch.sigmoid(1 - f) * torch.tanh(j)
    torch.testing.assert_close(cell(p, x, s)["h"], new, **EXACT)


def test_clockwork_updates_only_the_modules_whose_time_it_is(generator: torch.Generator) -> None:
    cell = WITNESSES["clockwork"]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    half = SIZES["H"] // 2
    first = cell(p, x, s, periods=(1, 2))
    second = cell(p, x, first, periods=(1, 2))
    assert (first["h"] != s["h"]).all()
    torch.testing.assert_close(second["h"][:, half:], first["h"][:, half:], **EXACT)
    assert (second["h"][:, :half] != first["h"][:, :half]).all()
    faster = p["U_h"].clone()
    faster[half:, :half] = 9.0  # the slow module does not hear the fast one
    torch.testing.assert_close(cell(p | {"U_h": faster}, x, s)["h"], first["h"], **EXACT)


@pytest.mark.parametrize("name", ["skip-only-k", "taugru"])
def test_delays_count_from_the_step_they_name(name: str, generator: torch.Generator) -> None:
    """A nudge of h_{t-K}, the oldest of K states, arrives at once; it is the last that does."""
    cell = WITNESSES[name]
    p, s, x = drawn(cell, generator), started(cell, generator), draw(("B", "I"), generator)
    history = s["h"].requires_grad_()
    new = cell(p, x, {"h": history})["h"]
    (reach,) = torch.autograd.grad(new[0].sum(), history)
    assert reach[-1].abs().sum() > 0
    assert reach[1].abs().sum() == 0
    torch.testing.assert_close(new[1:], history[:-1], **EXACT)


def test_lru_is_its_unrolled_sum(generator: torch.Generator) -> None:
    cell = WITNESSES["lru"]
    p = drawn(cell, generator)
    x = torch.stack([draw(("B", "I"), generator) for _ in range(5)])
    start = {k: torch.zeros([SIZES[n] for n in v], dtype=x.dtype) for k, v in cell.states.items()}
    outputs, _ = cell.run(p, x, start)
    size, phase = torch.exp(-torch.exp(p["p_nu"])), torch.exp(p["p_theta"])
    powers = torch.stack([torch.polar(size**k, phase * k) for k in range(4, -1, -1)])
    heard = torch.exp(p["p_gamma"]) * (x.to(powers.dtype) @ torch.complex(p["W_re"], p["W_im"]).T)
    h = (powers[:, None] * heard).sum(0)
    y = (h @ torch.complex(p["U_re"], p["U_im"]).T).real + p["p_D"] * x[-1]
    torch.testing.assert_close(outputs[-1], y, **EXACT)


def test_unicornn_without_force_keeps_its_energy(generator: torch.Generator) -> None:
    """Symplectic Euler of y'' = -α y conserves y² + z² - h y z with α = 1 exactly."""
    cell = WITNESSES["unicornn"]
    p = {k: torch.zeros_like(v) for k, v in drawn(cell, generator).items()}
    s = started(cell, generator)
    step = 0.05 * 0.5  # Δt σ(0)

    def energy(s: States) -> Tensor:
        return s["y"] ** 2 + s["z"] ** 2 - step * s["y"] * s["z"]

    before = energy(s)
    for _ in range(200):
        s = cell(p, torch.zeros(SIZES["B"], SIZES["I"], dtype=torch.float64), s)
    torch.testing.assert_close(energy(s), before, **EXACT)


def test_antisymmetric_transition_turns_without_stretching(generator: torch.Generator) -> None:
    """γ = 0, no input, small h: |h'|² - |h|² is of order ε², as W - Wᵀ has no symmetric part."""
    cell = WITNESSES["antisymmetric"]
    p, s = drawn(cell, generator), started(cell, generator)
    p = p | {"b_h": torch.zeros_like(p["b_h"])}
    s = {"h": s["h"] * 1e-4}
    x = torch.zeros(SIZES["B"], SIZES["I"], dtype=torch.float64)
    grown = []
    for epsilon in (1e-2, 1e-3):
        new = cell(p, x, s, epsilon=epsilon, gamma=0.0)["h"]
        grown.append(float((new.norm() / s["h"].norm() - 1).abs()))
    assert grown[1] == pytest.approx(grown[0] / 100, rel=0.01)
