"""Cells that are other cells in a limit, and what the constraints of the constrained ones promise."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from reconciliation import drawn_layer, normal
from torch import Tensor

from study import Cell, Layer
from study.cells import CELLS
from study.engines.prelude import operands
from study.language.forms import Periods, SlowerOnly

INPUTS, HIDDEN = 3, 5
OPEN, SHUT = 40.0, -800.0  # σ(40) = 1 - 4e-18 and σ(-800) = 0 in float64
Tensors = dict[str, Tensor]


def vector(value: float) -> Tensor:
    return torch.full((HIDDEN,), value, dtype=torch.float64)


def zeros(*names: str) -> Callable[[Tensors], Tensors]:
    return lambda p: {n: torch.zeros((), dtype=torch.float64) for n in names}


def bias(**values: float) -> Callable[[Tensors], Tensors]:
    return lambda p: {f"b_{gate}": vector(value) for gate, value in values.items()}


def weights(gate: str, of: Tensors, to: str, sign: int = 1) -> Tensors:
    """W, U and b of one gate for another's."""
    return {f"{k}_{to}": sign * of[f"{k}_{gate}"] for k in "WUb"}


@dataclass
class Same:
    """``general`` with ``edit``'s parameters is ``special``: the parameters of one name are shared,
    those that the special cell lacks are drawn at random. ``edit`` is given the special cell's."""

    general: str | Cell
    special: str | Cell
    edit: Callable[[Tensors], Tensors] = lambda p: {}
    phi: tuple[str, str] = ("tanh", "tanh")
    states: dict[str, str] = field(
        default_factory=dict
    )  # special state: the general's that equal it
    outputs: bool = True  # whether the outputs are the same, not only these states


LSTM, ELMAN = CELLS["lstm"], CELLS["elman"]
ONE_MODULE = replace(CELLS["clockwork"], forms={"k": Periods(1), "U": SlowerOnly(1)})
JANET_WITHOUT_BETA = CELLS["janet"].replace({"h'": "sigmoid(f)*h + (1 - sigmoid(f))*g"})
NO_TANH = {"h'": "o*c'"}
GATES = [f"U_{a}{b}" for a in "ifo" for b in "ifo"]

SAME = {
    "without peepholes V is lstm": Same("lstm-peephole", "lstm", zeros("p_i", "p_f", "p_o")),
    "NP is lstm": Same("lstm-np", "lstm"),
    "NIG is V with an open input gate": Same("lstm-peephole", "lstm-nig", bias(i=OPEN)),
    "NFG is V with an open forget gate": Same("lstm-peephole", "lstm-nfg", bias(f=OPEN)),
    "NOG is V with an open output gate": Same("lstm-peephole", "lstm-nog", bias(o=OPEN)),
    "NIAF and NOAF are V when phi is the identity": Same(
        "lstm-niaf", "lstm-noaf", phi=("identity", "identity")
    ),
    "CIFG is V whose f is 1 - i": Same(
        "lstm-peephole",
        "lstm-cifg",
        lambda p: weights("i", p, "f", -1) | {"p_f": -p["p_i"]},
    ),
    "FGR without recurrence among gates is V": Same("lstm-fgr", "lstm-peephole", zeros(*GATES)),
    "lstm-f is lstm-b with an open forget gate": Same("lstm-b", "lstm-f", bias(f=OPEN)),
    "lstm-i is lstm-b with an open input gate": Same(
        "lstm-b", "lstm-i", lambda p: {"b_f": p["b_f"] - 1} | bias(i=OPEN)(p)
    ),
    "lstm-o is lstm-b with an open output gate": Same(
        "lstm-b", "lstm-o", lambda p: {"b_f": p["b_f"] - 1} | bias(o=OPEN)(p)
    ),
    "with an open relevance gate an lstm without output activation": Same(
        "lstm-relevance",
        LSTM.replace(NO_TANH),
        lambda p: {f"{k}_u": p[f"{k}_i"] for k in "WUb"} | bias(r=OPEN)(p),
    ),
    "no working memory is lstm": Same("lstm-wm", "lstm", zeros("U_ci", "U_cf", "U_co")),
    "janet at beta 0 is ugrnn": Same(
        JANET_WITHOUT_BETA,
        "ugrnn",
        lambda p: weights("g", p, "f") | weights("n", p, "g"),
    ),
    "janet at beta 0 is an lstm with one gate": Same(
        LSTM.replace({"f": "1 - i", "o": "1", "h'": "c'"}),
        JANET_WITHOUT_BETA,
        lambda p: weights("f", p, "i", -1),
        states={"h": "h c"},
    ),
    "ligru is ugrnn": Same("ligru", "ugrnn", lambda p: weights("g", p, "z")),
    "gated-leaky is ugrnn with the gate turned round": Same(
        "gated-leaky",
        "ugrnn",
        lambda p: weights("g", p, "g", -1) | {k: p[f"{k}_n"] for k in "WUb"},
    ),
    "gru with an open reset gate is ugrnn": Same(
        "gru", "ugrnn", lambda p: weights("g", p, "z") | bias(r=OPEN)(p)
    ),
    "mgu is a gru whose reset gate is 1 - z": Same(
        "gru", "mgu", lambda p: weights("f", p, "r") | weights("f", p, "z", -1)
    ),
    "the two grus agree when the reset gate is open": Same(
        "gru-torch", CELLS["gru"].replace(r="1", n="phi(W_n x + U_n h + b_n)"), bias(hn=0.0, r=OPEN)
    ),
    "fastgrnn at zeta 1, nu 0 is ugrnn with one pair of matrices": Same(
        "fastgrnn",
        Cell(
            name="tied ugrnn",
            state="h",
            equations="z = sigmoid(W x + U h + b_z)\nh' = z*h + (1 - z)*phi(W x + U h + b_h)",
            source="this test",
        ),
        lambda p: {"p_zeta": vector(OPEN), "p_nu": vector(SHUT)},
    ),
    "minlstm with i = 1 - f is mingru": Same(
        "minlstm",
        "mingru",
        lambda p: {f"{k}_i": p[f"{k}_z"] for k in "Wb"} | {f"{k}_f": -p[f"{k}_z"] for k in "Wb"},
    ),
    "nbr with diagonal matrices is br": Same(
        "nbr", "br", lambda p: {"U_a": p["p_a"].diag(), "U_c": p["p_c"].diag()}
    ),
    "tlstm without the last input is trnn, behind an open gate": Same(
        "tlstm",
        "trnn",
        lambda p: zeros("W_vz", "W_vf", "W_vo", "b_z")(p) | bias(o=OPEN)(p),
        states={"h": "c"},
        outputs=False,
    ),
    "taugru with its feedback shut is gated-leaky": Same(
        "taugru",
        "gated-leaky",
        lambda p: {f"{k}_u": p[k] for k in "WUb"} | bias(a=SHUT)(p),
    ),
    "leaky at a = 1 is elman": Same("leaky", "elman", lambda p: {"p_a": vector(OPEN)}),
    "gated-leaky with its gate open is elman": Same("gated-leaky", "elman", bias(g=OPEN)),
    "fastrnn at alpha 1, beta 0 is elman": Same(
        "fastrnn", "elman", lambda p: {"p_alpha": vector(OPEN), "p_beta": vector(SHUT)}
    ),
    "skip-1 has two matrices for one": Same(
        "skip-1", "elman", lambda p: {"U": 0.3 * p["U"], "U_k": 0.7 * p["U"]}
    ),
    "skip-only-1 is elman": Same("skip-only-1", "elman"),
    "skip without its first connection is skip-only": Same(
        "skip-5", "skip-only-5", lambda p: {"U": 0 * p["U"], "U_k": p["U"]}
    ),
    "clockwork of one module is elman": Same(ONE_MODULE, "elman"),
    "linear is elman with the identity": Same("elman", "linear", phi=("identity", "tanh")),
    "lt-rnn is elman with the identity": Same("lt-rnn", "elman", phi=("identity", "identity")),
    "indrnn is elman with a diagonal U": Same("elman", "indrnn", lambda p: {"U": p["p_u"].diag()}),
    "scrn that does not look at its context is an elman of logistic units": Same(
        Cell(name="no bias", state="h", equations="h' = phi(W x + U h)", source="this test"),
        CELLS["scrn"].replace({"h'": "sigmoid(W x + U h)"}),
        phi=("sigmoid", "tanh"),
    ),
    "output-recurrent is jordan with the identity": Same(
        "jordan", "output-recurrent", phi=("identity", "identity")
    ),
    "output-recurrent with the identity for its output is elman": Same(
        "output-recurrent",
        "elman",
        lambda p: {"U_y": torch.eye(HIDDEN, dtype=torch.float64), "b_y": vector(0.0)},
        states={"h": "y"},
    ),
    "gated-antisymmetric with its gate open is antisymmetric": Same(
        "gated-antisymmetric", "antisymmetric", bias(z=OPEN)
    ),
}


def fill(layer: Layer, values: Tensors) -> None:
    with torch.no_grad():
        for name, value in values.items():
            full = value.expand_as(getattr(layer, name)).clone()
            if name in dict(layer.named_parameters()):
                layer.get_parameter(name).copy_(full)
            else:
                setattr(layer, name, full)  # a parametrization takes it apart


@pytest.mark.parametrize("which", SAME)
def test_one_cell_is_another_in_the_limit(which):
    same, g = SAME[which], torch.Generator().manual_seed(3)
    general = drawn_layer(same.general, (INPUTS, HIDDEN), same.phi[0], g)
    special = drawn_layer(same.special, (INPUTS, HIDDEN), same.phi[1], g)
    general.engine = special.engine = "reference"
    given = {n: getattr(special, n).detach() for n in special.cell.parameters}
    shared = {n: value for n, value in given.items() if n in general.cell.parameters and n != "k"}
    fill(general, shared | same.edit(given))

    x = normal(g, 8, 2, INPUTS)
    start = {s: normal(g, 2, HIDDEN) for s in special.cell.states}
    names = {s: same.states.get(s, s).split() for s in start}
    first = general.initial_state(x)  # zeros: no step yet, no last input
    first |= {s: normal(g, 2, HIDDEN) for s in first if s[0] not in "st"}
    first |= {ours: start[s] for s in start for ours in names[s] if ours in first}
    outputs, last = special(x, start)
    found, ended = general(x, first)
    compared = [(ended[ours], last[s]) for s in last for ours in names[s] if ours in ended]
    for ours, theirs in [*compared, *([(found, outputs)] * same.outputs)]:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)  # float64, 8 steps
    assert compared


def test_the_lstm_of_1997_is_one_of_today_at_half_the_scale():
    """4σ(a) - 2 = 2 tanh(a/2) and 2σ(c) - 1 = tanh(c/2), so that c/2 is the cell state of an LSTM."""
    g = torch.Generator().manual_seed(4)
    old, new = (
        drawn_layer(n, (INPUTS, HIDDEN), "tanh", g) for n in ("lstm-1997", LSTM.replace(f="1"))
    )
    halves = {n: p.detach() / 2 if n.endswith("_g") else p for n, p in old.named_parameters()}
    fill(new, halves)
    x, h, c = normal(g, 8, 2, INPUTS), normal(g, 2, HIDDEN), normal(g, 2, HIDDEN)
    old.engine = new.engine = "reference"
    outputs, last = old(x, {"h": h, "c": c})
    found, ended = new(x, {"h": h, "c": c / 2})
    torch.testing.assert_close(found, outputs, rtol=0, atol=1e-12)
    torch.testing.assert_close(2 * ended["c"], last["c"], rtol=0, atol=1e-12)


def test_janet_keeps_all_and_lets_nothing_in_when_its_gate_is_open():
    layer = drawn_layer("janet", (INPUTS, HIDDEN), "tanh", torch.Generator().manual_seed(5))
    fill(layer, bias(f=60.0)({}))
    h = vector(0.7).expand(2, HIDDEN)
    x = torch.randn(30, 2, INPUTS, generator=torch.Generator().manual_seed(6)).double()
    layer.engine = "reference"
    torch.testing.assert_close(layer(x, {"h": h})[0][-1], h.clone(), rtol=0, atol=1e-12)


# --- constraints --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["antisymmetric", "gated-antisymmetric", "orthogonal-rnn"])
def test_the_constraint_holds_while_it_is_trained(name):
    """U + Uᵀ = -2γI, or UᵀU = I, after 20 steps that move U."""
    g = torch.Generator().manual_seed(7)
    layer = drawn_layer(name, (INPUTS, HIDDEN), "tanh", g)
    layer.engine = "reference"
    before = layer.U.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    x, target = normal(g, 6, 4, INPUTS), normal(g, 6, 4, HIDDEN)
    for _ in range(20):
        optimizer.zero_grad()
        (layer(x)[0] - target).square().sum().backward()
        optimizer.step()
    u, eye = layer.U.detach(), torch.eye(HIDDEN, dtype=torch.float64)
    assert (u - before).abs().max() > 1e-3
    held, kept = (u.T @ u, eye) if name == "orthogonal-rnn" else (u + u.T, -2 * 0.01 * eye)
    torch.testing.assert_close(held, kept, rtol=0, atol=1e-12)


def test_the_linear_recurrent_unit_is_stable_whatever_its_parameters():
    layer = Layer("lru", INPUTS, 400, dtype=torch.float64)
    g = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(3 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    values = operands(layer.cell, {n: getattr(layer, n) for n in layer.cell.parameters})
    size = (values["u"].square() + values["v"].square()).sqrt()
    assert (size < 1).all()
    torch.testing.assert_close(size, torch.exp(-torch.exp(layer.p_nu)))


def test_a_clockwork_module_moves_when_its_time_has_come():
    """With 16 units in 8 modules, unit 2m and 2m+1 change at multiples of 2^m and at no other step."""
    layer = drawn_layer("clockwork", (INPUTS, 16), "tanh", torch.Generator().manual_seed(9))
    layer.engine = "reference"
    x = torch.randn(70, 1, INPUTS, generator=torch.Generator().manual_seed(10)).double()
    outputs = layer(x)[0][:, 0]
    moved = torch.diff(outputs, dim=0, prepend=torch.zeros(1, 16)) != 0
    for unit in range(16):
        expected = [t for t in range(70) if t % 2 ** (unit // 2) == 0]
        assert moved[:, unit].nonzero().flatten().tolist() == expected
