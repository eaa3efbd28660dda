"""Passes of cells with a deep transition: loops written by hand, and the shallow cell where they meet."""

import pytest
import torch
from cases import each
from passes import Case, assert_agree, distance
from sampling import features, first_states, representatives
from torch import Tensor

from study import Cell, Layer
from study.base.errors import UserError
from study.cells import CELLS
from study.credit import CREDIT
from study.engines.derivatives.jacobian import step_jacobian
from study.language.deep_transition import deep_transition
from study.language.nonlinearities import NONLINEARITIES


def has_one(name: str) -> bool:
    try:
        deep_transition(CELLS[name], 1)
    except UserError:
        return False
    return True


DEEP = [name for name in CELLS if has_one(name)]
SAMPLED = [name for name in [*representatives(), "jordan", "cornn"] if name in DEEP]
# Products of a matrix and exactly a state, not of r*h: there the layers can be multiplied into it.
PLAIN = [
    name
    for name in DEEP
    if all(
        p.operand.is_Symbol or not {s.name for s in p.operand.free_symbols} & {*CELLS[name].states}
        for p in CELLS[name].products.values()
    )
]


def made(equations: str, state: str = "h", **more: object) -> Cell:
    return Cell(name="made", state=state, equations=equations, source="these tests", **more)


TWO_READ = made(
    """
    g = sigmoid(W_g x + U_g h + U_c c + b_g)
    c' = g*c + (1 - g)*phi(W_n x + U_n (c*h) + b_n)
    h' = g*phi(c') + 0.1*h
    """,
    "h c",
)
DELAYED = made(
    """
    g = sigmoid(W_g x + U_g h[t-1] + b_g)
    h' = g*h[t-2] + (1 - g)*phi(W x + U_3 (g*h[t-3]) + U h + b)
    """
)


# --- hand-written equations ----------------------------------------------------------------------


def through(p: dict[str, Tensor], value: Tensor, depth: int, of: str = "") -> Tensor:
    for k in range(1, depth + 1):
        value = torch.tanh(value @ p[f"U_{of}deep{k}"].T + p[f"b_{of}deep{k}"])
    return value


def affine(p: dict[str, Tensor], gate: str, x: Tensor, h: Tensor) -> Tensor:
    suffix = f"_{gate}" if gate else ""
    return x @ p[f"W{suffix}"].T + h @ p[f"U{suffix}"].T + p[f"b{suffix}"]


def elman(p, x, s, depth):
    return {"h": torch.tanh(affine(p, "", x, through(p, s["h"], depth)))}


def lstm(p, x, s, depth):
    deep = through(p, s["h"], depth)
    i, f, o = (torch.sigmoid(affine(p, gate, x, deep)) for gate in "ifo")
    c = f * s["c"] + i * torch.tanh(affine(p, "g", x, deep))
    return {"h": o * torch.tanh(c), "c": c}


def gru(p, x, s, depth):
    deep = through(p, s["h"], depth)
    r, z = (torch.sigmoid(affine(p, gate, x, deep)) for gate in "rz")
    n = torch.tanh(affine(p, "n", x, r * deep))
    return {"h": z * s["h"] + (1 - z) * n}


def two_read(p, x, s, depth):
    h, c = through(p, s["h"], depth, "h_"), through(p, s["c"], depth, "c_")
    g = torch.sigmoid(affine(p, "g", x, h) + c @ p["U_c"].T)
    new = g * s["c"] + (1 - g) * torch.tanh(affine(p, "n", x, c * h))
    return {"h": g * torch.tanh(new) + 0.1 * s["h"], "c": new}


def of_earlier_steps(p, x, s, depth):
    back2, back3 = s["h[t-2]"], s["h[t-3]"]
    deep, deep3 = through(p, s["h"], depth), through(p, back3, depth)
    g = torch.sigmoid(affine(p, "g", x, deep))
    new = torch.tanh(affine(p, "", x, deep) + (g * deep3) @ p["U_3"].T)
    return {"h": g * back2 + (1 - g) * new, "h[t-2]": s["h"], "h[t-3]": back2}


BY_HAND = {
    "elman": (CELLS["elman"], elman),
    "lstm": (CELLS["lstm"], lstm),
    "gru": (CELLS["gru"], gru),
    "two states": (TWO_READ, two_read),
    "earlier states": (DELAYED, of_earlier_steps),
}


def passed(case: Case, step, depth: int) -> dict[str, Tensor]:
    """What `Case.run` finds, of a loop over steps."""
    leaves = {n: p.clone().requires_grad_() for n, p in case.parameters.items()}
    first = {n: s.clone().requires_grad_() for n, s in case.state.items()}
    x, now, outputs = case.x.clone().requires_grad_(), dict(first), []
    for row in x:
        now = step(leaves, row, now, depth)
        outputs.append(now["h"])
    loss = (torch.stack(outputs) * case.weights).sum()
    for name, weight in zip(case.cell.states, case.last_weights, strict=True):
        loss = loss + (now[name] * weight).sum()
    loss.backward()
    found = {"outputs": torch.stack(outputs), "d x": x.grad}
    found |= {f"last {n}": s for n, s in now.items()}
    found |= {f"d {n}": leaf.grad for n, leaf in leaves.items()}
    found |= {f"d first {n}": leaf.grad for n, leaf in first.items()}
    return {name: value.detach() for name, value in found.items()}


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", BY_HAND)
def test_equals_the_loop_written_by_hand(name, depth, engine):
    cell, step = BY_HAND[name]
    case = Case(deep_transition(cell, depth))
    found, expected = case.run(engine, record=False), passed(case, step, depth)
    assert found.keys() == expected.keys()
    for what, value in expected.items():
        assert distance(found[what], value) < 1e-12, what


@pytest.mark.parametrize("depth", [1, 2])
def test_an_elman_cell_is_the_papers_dt_rnn_read_before_its_layers(depth):
    """a_t = φ(W_1 h_{t-1} + V x_t), h_t = φ(W_L φ(… a_t)) from the paper: our state is a_t."""
    case = Case(deep_transition(CELLS["elman"], depth))
    p = case.parameters
    h, values = through(p, case.state["h"], depth), []
    for row in case.x:
        values.append(torch.tanh(h @ p["U"].T + row @ p["W"].T + p["b"]))
        h = through(p, values[-1], depth)
    assert distance(case.run("reference")["outputs"], torch.stack(values)) < 1e-13


# --- the whole catalogue -------------------------------------------------------------------------


@each("name", DEEP)
def test_layers_that_do_nothing_leave_the_cell(name):
    """φ the identity, U_deep = I, b_deep = 0."""
    deep = Case(deep_transition(CELLS[name], 2), "identity")
    for parameter in deep.cell.parameters:
        if "deep" in parameter:
            value = deep.parameters[parameter]
            value.copy_(torch.eye(len(value)) if value.dim() == 2 else torch.zeros(len(value)))
    shallow = Case(CELLS[name], "identity")
    shallow.parameters = {n: deep.parameters[n] for n in shallow.cell.parameters}
    shallow.state, shallow.x = deep.state, deep.x
    shallow.weights, shallow.last_weights = deep.weights, deep.last_weights
    found = deep.run("reference")
    for what, value in shallow.run("reference").items():
        assert distance(found[what], value) < 1e-12, what


@each("name", PLAIN)
def test_linear_layers_multiply_into_the_matrices_alone(name):
    """φ the identity and no bias: U U_deep2 U_deep1 in place of U, and no other use of the state."""
    deep = Case(deep_transition(CELLS[name], 2), "identity", scale=0.5)
    p, shallow = deep.parameters, Case(CELLS[name], "identity")
    for parameter in p:
        if parameter.startswith("b_") and "deep" in parameter:
            p[parameter].zero_()
    shallow.parameters = {n: p[n] for n in shallow.cell.parameters}
    for product in shallow.cell.products.values():
        if (state := str(product.operand)) in shallow.cell.states:
            of = state.partition("[")[0]
            of = f"{of}_" if f"U_{of}_deep1" in p else ""
            shallow.parameters[product.matrix] = (
                p[product.matrix] @ p[f"U_{of}deep2"] @ p[f"U_{of}deep1"]
            )
    shallow.state, shallow.x = deep.state, deep.x
    shallow.weights, shallow.last_weights = deep.weights, deep.last_weights
    found, expected = deep.run("reference"), shallow.run("reference")
    for what, value in expected.items():
        if what.removeprefix("d ") not in shallow.parameters:  # the gradient of U is another
            assert distance(found[what], value) < 1e-12, what


def test_most_of_the_catalogue_reads_its_state_plainly():
    assert len(PLAIN) > len(DEEP) / 2
    assert {"elman", "lstm", "lstm-wm", "skip-5", "lem", "clockwork"} <= set(PLAIN)
    assert "gru" not in PLAIN


@pytest.mark.parametrize("name", SAMPLED)
def test_native_equals_reference(name):
    case = Case(deep_transition(CELLS[name], 2), lengths=[6, 1, 4])
    assert_agree(case, 1e-12)


def test_the_sample_has_what_the_catalogue_has():
    every = set().union(*(features(deep_transition(CELLS[n], 2)) for n in DEEP))
    counts = {f for f in every if f.split()[0].isdigit()}
    assert every - counts <= set().union(*(features(deep_transition(CELLS[n], 2)) for n in SAMPLED))


@pytest.mark.parametrize(
    ("name", "engine"),
    [("elman", "native"), ("gru", "reference"), ("lstm-wm", "reference"), ("skip-5", "reference")],
)
def test_gradcheck(name, engine):
    cell = deep_transition(CELLS[name], 2)
    g = torch.Generator().manual_seed(3)
    layer = Layer(cell, 2, 3, dtype=torch.float64, engine=engine, generator=g)
    names = list(cell.parameters)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    start = first_states(cell, lambda: draw(2, 3))
    leaves = [getattr(layer, n).detach().clone().requires_grad_() for n in names]

    def run(x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        parameters, states = given[: len(names)], given[len(names) :]
        outputs, last = torch.func.functional_call(
            layer,
            dict(zip(names, parameters, strict=True)),
            (x, dict(zip(start, states, strict=True))),
        )
        return outputs, *last.values()

    assert torch.autograd.gradcheck(run, (draw(7, 2, 2), *leaves, *start.values()))


# --- derivatives in other ways -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["elman", "gru", "lstm-wm"])
def test_real_time_recurrent_learning_finds_the_same_gradient(name):
    case = Case(deep_transition(CELLS[name], 2))
    gradients = []
    for rule in ("full", "rtrl"):
        leaves = {n: p.clone().requires_grad_() for n, p in case.parameters.items()}
        outputs, _ = CREDIT.build(rule).run(
            case.cell, NONLINEARITIES["tanh"], leaves, case.x, case.state, engine="reference"
        )
        (outputs * case.weights).sum().backward()
        gradients.append({n: leaf.grad for n, leaf in leaves.items()})
    for name_, value in gradients[0].items():
        assert distance(gradients[1][name_], value) < 1e-12, name_


@pytest.mark.parametrize("name", ["elman", "gru", "lstm-wm", "skip-5", "clockwork"])
def test_a_steps_jacobian(name):
    case = Case(deep_transition(CELLS[name], 2), sizes=(1, 1, 2, 9))
    states = case.cell.states
    phi, x = NONLINEARITIES["tanh"], case.x[0]
    blocks = step_jacobian(case.cell, phi, case.parameters, x, case.state)
    layer = Layer(case.cell, 2, 9, dtype=torch.float64, engine="reference")

    def step(*given: Tensor) -> tuple[Tensor, ...]:
        start = {n: s[None] for n, s in zip(states, given, strict=True)}
        _, last = CREDIT.build("full").run(
            layer.cell, phi, case.parameters, case.x, start, engine="reference"
        )
        return tuple(last[n][0] for n in states)

    of = torch.autograd.functional.jacobian(step, tuple(case.state[n][0] for n in states))
    for i, new in enumerate(states):
        for j, old in enumerate(states):
            assert distance(blocks[new, old][0], of[i][j]) < 1e-12, (new, old)
