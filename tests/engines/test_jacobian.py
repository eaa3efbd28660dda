"""Jacobians against torch.func.jacrev of the reference engine's step, and finite differences."""

import gc
import weakref
from itertools import product

import pytest
import torch
from cases import each
from passes import LANGUAGE, Case
from sampling import compiled, representatives
from torch.func import jacrev

from study.base.errors import UserError
from study.cells import CELLS
from study.engines import reference, select
from study.engines.derivatives import slopes
from study.engines.derivatives.jacobian import jacobians, states_before, step_jacobian
from study.engines.derivatives.linearization import linearize
from study.engines.recording import StateGradients
from study.language.cell import Cell
from study.language.functions import FUNCTIONS
from study.language.nonlinearities import NONLINEARITIES
from study.language.notation import TIME

pytestmark = pytest.mark.usefixtures("catalogue_kernels")

ALL = {**dict(CELLS.items()), **LANGUAGE}
EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64, the same products in another order
ENGINES = ["native", "reference"]


def arguments(case):
    return case.cell, NONLINEARITIES[case.phi], case.parameters


def exact_blocks(case, x, state):
    """Row by row through autograd, one sequence at a time."""
    names = case.cell.states

    def step(x, *values):  # (I,), (H,)
        before = {name: value[None] for name, value in zip(names, values, strict=True)}
        _, last = reference.run(*arguments(case), x[None, None], before)
        return tuple(last[name][0] for name in names)

    places = tuple(range(1, len(names) + 1))
    sequences = [
        jacrev(step, argnums=places)(x[b], *(state[name][b] for name in names))
        for b in range(len(x))
    ]
    return {
        (new, old): torch.stack([rows[i][j] for rows in sequences])
        for i, new in enumerate(names)
        for j, old in enumerate(names)
    }


def assert_blocks(found, expected):
    assert found.keys() == expected.keys()
    for pair, block in expected.items():
        torch.testing.assert_close(found[pair], block, **EXACT, msg=lambda m, p=pair: f"{p}: {m}")


RICHEST = "three stages and every function"
WITH_PHIS = [*compiled(), *[(name, "tanh") for name in LANGUAGE]]
WITH_PHIS += [(RICHEST, phi) for phi in NONLINEARITIES if phi != "tanh"]
SOME = [*representatives(), *LANGUAGE]


@each(("name", "phi"), WITH_PHIS)
def test_the_jacobian_is_that_of_the_step(name, phi):
    for sizes in [(1, 1, 1, 1), (1, 3, 2, 5), (1, 2, 7, 3)]:
        case = Case(ALL[name], phi, sizes)
        x = case.x[0]
        assert_blocks(
            step_jacobian(*arguments(case), x, case.state), exact_blocks(case, x, case.state)
        )


@each("name", [n for n in ALL if ALL[n].uses_phi])
def test_relu_at_zero(name):
    # Whole numbers and zeros: many pre-activations are exactly zero.
    case = Case(ALL[name], "relu", (1, 3, 2, 4))
    case.parameters = {  # k is divided by
        n: p if n == "k" else p.round() for n, p in case.parameters.items()
    }
    for state in (
        {n: s.round() for n, s in case.state.items()},
        {n: s * 0 for n, s in case.state.items()},
    ):
        x = case.x[0].round()
        assert_blocks(step_jacobian(*arguments(case), x, state), exact_blocks(case, x, state))


def test_relu_has_slope_zero_at_zero():
    u = torch.tensor([[1.0, -1.0], [2.0, 1.0]])
    parameters = {"W": torch.zeros(2, 1), "U": u, "b": torch.zeros(2)}
    state = {"h": torch.tensor([[1.0, 1.0]])}  # U h = (0, 3)
    blocks = step_jacobian(
        CELLS["elman"], NONLINEARITIES["relu"], parameters, torch.zeros(1, 1), state
    )
    assert torch.equal(blocks["h", "h"][0], torch.tensor([[0.0, 0.0], [2.0, 1.0]]))


def test_a_dead_relu_passes_on_nothing_though_the_slope_behind_it_is_infinite():
    cell = Cell("log of relu", "h", "h' = log(relu(W x + U h))", "these tests")
    case = Case(cell, sizes=(1, 4, 2, 5))
    blocks = step_jacobian(*arguments(case), case.x[0], case.state)
    assert torch.equal(blocks["h", "h"].isnan().any(), torch.tensor(False))
    assert_blocks(blocks, exact_blocks(case, case.x[0], case.state))


def test_expressions_stay_short_where_paths_branch_and_meet_again():
    # Thirty diamonds: 2**30 paths from h' to a, were each written out.
    lines = ["a0 = tanh(W x + U h)"]
    lines += [f"a{k} = tanh(a{k - 1}*sigmoid(a{k - 1}))" for k in range(1, 31)]
    case = Case(Cell("diamonds", "h", "\n".join([*lines, "h' = 3*a30"]), "these tests"))
    x = case.x[0]
    assert_blocks(step_jacobian(*arguments(case), x, case.state), exact_blocks(case, x, case.state))


@each("name", ALL)
def test_along_a_sequence_from_the_states_of_one_pass(name):
    case, exact = Case(ALL[name], sizes=(5, 3, 2, 4)), {}
    for t in (3, 0, 4):
        _, state = (
            reference.run(*arguments(case), case.x[:t], case.state) if t else (None, case.state)
        )
        exact[t] = exact_blocks(case, case.x[t], state)
    for engine in ENGINES:
        before = states_before(*arguments(case), case.x, case.state, engine)
        found = jacobians(*arguments(case), case.x, before, [3, 0, 4])
        assert list(found) == [3, 0, 4]
        for t, blocks in found.items():
            assert_blocks(blocks, exact[t])


@each("name", ALL)
def test_products_with_the_jacobian_are_finite_differences(name):
    case = Case(ALL[name], sizes=(3, 4, 2, 5))
    before = states_before(*arguments(case), case.x, case.state)
    local = linearize(*arguments(case), case.x, before)
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return {
            s: torch.randn(*shape, generator=generator, dtype=torch.float64)
            for s in case.cell.states
        }

    v, w = draw(3, 4, 5), draw(3, 4, 5)
    if TIME in v:  # a step's index is a whole number, where floor jumps
        v[TIME] *= 0
    forward, back = local.jvp(v), local.vjp(w)
    step = 1e-6  # central differences: error of the order of step**2, and 1e-16/step
    for t in range(3):
        ends = [
            reference.run(
                *arguments(case),
                case.x[t : t + 1],
                {s: before[s][t] + sign * step * v[s][t] for s in case.cell.states},
            )[1]
            for sign in (1, -1)
        ]
        for s in case.cell.states:
            slope = (ends[0][s] - ends[1][s]) / (2 * step)
            torch.testing.assert_close(forward[s][t], slope, rtol=1e-6, atol=1e-7)

    def dot(a, b):
        return sum((a[s] * b[s]).sum(-1) for s in case.cell.states)

    torch.testing.assert_close(dot(w, forward), dot(back, v), **EXACT)

    # Several vectors at once, of one step, by the blocks.
    many, blocks = draw(6, 4, 5), local[2].blocks()
    states = case.cell.states
    for found, expected in (
        (local[2].jvp(many), {n: [(blocks[n, o], many[o]) for o in states] for n in states}),
        (local[2].vjp(many), {o: [(blocks[n, o].mT, many[n]) for n in states] for o in states}),
    ):
        for s, terms in expected.items():
            total = sum(torch.einsum("bij,kbj->kbi", block, vector) for block, vector in terms)
            torch.testing.assert_close(found[s], total, **EXACT)


@pytest.mark.parametrize("name", SOME)
def test_a_state_left_out_counts_as_zero(name):
    case = Case(ALL[name], sizes=(1, 4, 2, 5))
    local = linearize(*arguments(case), case.x[0], case.state)
    blocks, ones = local.blocks(), torch.ones(4, 5, dtype=torch.float64)
    for given in case.cell.states:
        for s in case.cell.states:
            found = local.jvp({given: ones})[s], local.vjp({given: ones})[s]
            torch.testing.assert_close(found[0], blocks[s, given].sum(2), **EXACT)
            torch.testing.assert_close(found[1], blocks[given, s].sum(1), **EXACT)
    with pytest.raises(UserError, match="no state named 'q'"):
        local.jvp({"q": ones})


@each("name", ALL)
def test_the_gradient_of_the_first_state_is_a_product_of_jacobians(name):
    # Of a loss at the last step only, ∂L/∂s_0 = Jᵀ_1 … Jᵀ_T ∂L/∂s_T. (A recorded ∂L/∂c_t is more
    # than this product where h_t is computed from c_t within the step.)
    case = Case(ALL[name], sizes=(6, 3, 2, 5))
    for engine in ENGINES:
        recorder = StateGradients()
        state = {s: v.clone().requires_grad_() for s, v in case.state.items()}
        _, last = select.run(*arguments(case), case.x, state, recorder, engine=engine)
        flow = dict(zip(case.cell.states, case.last_weights, strict=True))
        sum((last[s] * flow[s]).sum() for s in case.cell.states).backward()
        before = {s: recorder.before(s) for s in case.cell.states}
        local = linearize(*arguments(case), case.x, before)
        for t in reversed(range(6)):
            flow = local[t].vjp(flow)
        for s, first in state.items():
            exact = torch.zeros_like(first) if first.grad is None else first.grad
            torch.testing.assert_close(flow[s], exact, **EXACT)


@each("name", ALL)
def test_the_recorder_has_the_states(name):
    case = Case(ALL[name], sizes=(5, 3, 2, 20))
    now, expected = case.state, []
    for t in range(5):
        _, now = reference.run(*arguments(case), case.x[t : t + 1], now)
        expected.append(now)
    for engine, lengths, with_gradients in product(ENGINES, [None, [5, 1, 3]], [True, False]):
        live = torch.arange(5)[:, None] < torch.tensor(lengths or [5, 5, 5])
        recorder = StateGradients()
        state = {s: v.clone().requires_grad_(with_gradients) for s, v in case.state.items()}
        given = None if lengths is None else torch.tensor(lengths)
        outputs, _ = select.run(*arguments(case), case.x, state, recorder, given, engine)
        for s in case.cell.states:
            truth = torch.stack([e[s] for e in expected]) * live[..., None]
            found = recorder.values(s)
            assert not found.requires_grad
            torch.testing.assert_close(found, truth, **EXACT)
            assert torch.equal(recorder.before(s)[0], case.state[s])
            assert torch.equal(recorder.before(s)[1:], found[:-1])
        assert recorder.values(case.cell.output).data_ptr() == outputs.data_ptr()


@pytest.mark.parametrize("engine", ENGINES)
def test_recording_does_not_keep_itself_alive(engine):
    case, recorder = Case(CELLS["lstm"]), StateGradients()
    state = {s: v.clone().requires_grad_() for s, v in case.state.items()}
    outputs, last = select.run(*arguments(case), case.x, state, recorder, engine=engine)
    outputs.sum().backward()
    there = weakref.ref(recorder.values("c"))
    gc.disable()
    try:
        del recorder, outputs, last
        assert there() is None
    finally:
        gc.enable()


def test_nothing_is_recorded_before_the_pass():
    with pytest.raises(RuntimeError, match="run the layer first"):
        StateGradients().values("h")
    with pytest.raises(RuntimeError, match="run the layer first"):
        StateGradients().before("h")


@pytest.mark.parametrize("name", ["lstm", "gru", "lru", RICHEST])
def test_a_jacobian_can_be_differentiated(name):
    # As flossing does, which trains the Jacobians themselves.
    case = Case(ALL[name], sizes=(1, 2, 2, 3))
    cell, phi, parameters = arguments(case)
    ones = {s: torch.ones(2, 3, dtype=torch.float64) for s in cell.states}

    def of(*values):
        given = dict(zip(parameters, values, strict=True))
        local = linearize(cell, phi, given, case.x[0], case.state)
        return *local.jvp(ones).values(), *local.blocks().values()

    leaves = [p.clone().requires_grad_() for p in parameters.values()]
    assert torch.autograd.gradcheck(of, leaves)


@pytest.mark.parametrize("name", SOME)
def test_a_long_sequence_is_worked_off_in_pieces(name, monkeypatch):
    case = Case(ALL[name], sizes=(7, 3, 2, 4))
    before = states_before(*arguments(case), case.x, case.state)
    whole = linearize(*arguments(case), case.x, before)
    monkeypatch.setattr(slopes, "CHUNK", 2 * 3 * 4)  # two steps, and one that is left over
    with torch.no_grad():
        pieces = linearize(*arguments(case), case.x, before)
    for pair, block in whole.blocks().items():
        assert block.shape == (7, 3, 4, 4)
        torch.testing.assert_close(pieces.blocks()[pair], block, **EXACT)


def test_what_c_pulls_back_torch_pulls_back_too():
    assert {e.name for e in FUNCTIONS.values() if e.c_pullback} == {
        e.name for e in FUNCTIONS.values() if e.pullback
    }
