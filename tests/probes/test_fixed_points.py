"""Fixed and slow points against networks made by hand, and against autograd."""

import json
import math

import numpy as np
import pytest
import torch
from cases import each
from probed import SHAPES, by_hand, made, of_shape, read
from scipy.optimize import brentq
from torch.func import jacrev

from study.cells import CELLS
from study.engines import reference
from study.language.cell import Cell
from study.networks.layer import Layer
from study.networks.predictor import Predictor
from study.probes.fixed_points import FixedPoints, fixed_points
from study.probes.step_map import StepMap
from study.probes.visits import visits
from study.tasks.base import Batch, Task


@pytest.fixture(scope="module")
def task() -> Task:
    return made(task__name="adding", task__length=10)[1]


def symmetric(steps: int, pairs: int, inputs: int = 1) -> torch.Tensor:
    """Inputs whose mean is exactly zero at every step: each sequence has its opposite."""
    draws = torch.Generator().manual_seed(3)
    half = torch.randn(steps, pairs, inputs, generator=draws, dtype=torch.float64)
    return torch.cat([half, -half], dim=1)


def moduli(values: list[list[float]]) -> list[float]:
    return [math.hypot(*value) for value in values]


def test_two_attractors_of_one_stored_pattern(task: Task) -> None:
    # h' = tanh(2/H v vᵀ h) on h = m v is m' = tanh(2m): 0 with slope 2, ±m with slope 2(1 - m²).
    v = torch.tensor([1.0, -1, 1, 1, -1, -1, 1, -1], dtype=torch.float64)
    model = by_hand("elman", 1, 8, U=2 / 8 * torch.outer(v, v), W=v[:, None])
    found = fixed_points(model, task, read(symmetric(10, 20)))
    assert found is not None
    assert (found.fixed, found.slow, found.lost) == (3, 0, 0)
    m = brentq(lambda m: math.tanh(2 * m) - m, 0.5, 1, xtol=1e-15)
    expected = {0: (2.0, "unstable"), 1: (2 * (1 - m**2), "stable"), -1: (2 * (1 - m**2), "stable")}
    for point in found.points:
        at = round(point.state["h"][0])
        slope, stability = expected.pop(at)
        assert point.state["h"] == pytest.approx((at * m * v).tolist(), abs=1e-12)
        assert moduli(point.eigenvalues) == pytest.approx([slope, *[0] * 7], abs=1e-12)
        assert point.stability == stability
        assert point.speed < 1e-12
    stable = next(p for p in found.points if p.stability == "stable")
    assert stable.timescales[0] == pytest.approx(-1 / math.log(2 * (1 - m**2)), rel=1e-9)
    values = found.summary()
    assert (values["stable"], values["unstable"], values["marginal"]) == (2, 1, 0)
    assert values["spectral_radius"] == pytest.approx(2)
    assert values["longest_timescale"] == pytest.approx(stable.timescales[0])
    assert sum(p.reached for p in found.points) == pytest.approx(1)
    attracts = {p.stability: p.attracts for p in found.points}
    assert attracts["stable"] > 0.3
    assert attracts["unstable"] < 0.2


def test_a_line_attractor_is_many_marginal_points(task: Task) -> None:
    # h_1 keeps what it is given, h_2 halves: (a, 0) is fixed for every a.
    model = by_hand("linear", 1, 2, U=torch.diag(torch.tensor([1.0, 0.5])), W=1)
    batch = read(symmetric(10, 20))
    found = fixed_points(model, task, batch)
    assert found is not None
    assert found.fixed > 10
    assert found.slow == found.lost == 0
    visited = batch.inputs[..., 0].cumsum(0).flatten()
    for point in found.points:
        a, rest = point.state["h"]
        assert rest == pytest.approx(0, abs=1e-9)
        # Nothing in ‖F(s) - s‖² moves along the line: a start keeps its own place on it.
        assert min(abs(a), float((visited - a).abs().min())) == pytest.approx(0, abs=1e-9)
        assert moduli(point.eigenvalues) == pytest.approx([1, 0.5])
        assert point.timescales == [None, pytest.approx(1 / math.log(2))]
        assert point.stability == "marginal"
    assert "longest_timescale" in found.summary()


def test_a_linear_contraction_has_one_point_where_algebra_says(task: Task) -> None:
    turn, r = 0.7, 0.9
    cos, sin = r * math.cos(turn), r * math.sin(turn)
    u = torch.tensor([[cos, -sin, 0.3], [sin, cos, 0], [0, 0, -0.4]], dtype=torch.float64)
    w = torch.tensor([[1.0, 2], [0, -1], [1, 1]], dtype=torch.float64)
    b = torch.tensor([0.5, 0.1, -0.2], dtype=torch.float64)
    model = by_hand("linear", 2, 3, U=u, W=w, b=b)
    batch = read(torch.rand(12, 9, 2, generator=torch.Generator().manual_seed(0)))
    found = fixed_points(model, task, batch)
    assert found is not None
    x = batch.inputs.mean(dim=(0, 1))
    assert found.input_kind == "mean"
    assert found.input == pytest.approx(x.tolist())
    [point] = found.points
    assert point.state["h"] == pytest.approx(
        torch.linalg.solve(torch.eye(3).double() - u, w @ x + b).tolist(), abs=1e-12
    )
    pair = {(round(re, 9), round(im, 9)) for re, im in point.eigenvalues[:2]}
    assert pair == {(round(cos, 9), round(sin, 9)), (round(cos, 9), round(-sin, 9))}
    assert point.eigenvalues[2] == pytest.approx([-0.4, 0])
    scales = [-1 / math.log(r), -1 / math.log(r), -1 / math.log(0.4)]
    assert point.timescales == pytest.approx(scales)
    assert point.stability == "stable"


def test_a_ghost_is_slow_and_not_fixed(task: Task) -> None:
    # r(h) = 1e-4 + h²/10 has no zero; its size is least at h = 0, where the slope of the map is 1.
    ghost = Cell("ghost", "h", "h' = h + 0.0001 + 0.1*h*h - 0.2*h*h*h*h + W x", "these tests")
    layer = Layer(ghost, 1, 1, dtype=torch.float64, engine="reference")
    torch.nn.init.constant_(layer.W, 0.3)
    found = fixed_points(Predictor(layer, 1, "last").double(), task, read(symmetric(6, 10)))
    assert found is not None
    slow = [p for p in found.points if p.kind == "slow"]
    assert len(slow) == found.slow == 1
    assert slow[0].state["h"] == pytest.approx([0], abs=1e-3)
    assert slow[0].speed == pytest.approx(1e-4, rel=1e-2)
    assert moduli(slow[0].eigenvalues) == pytest.approx([1], abs=1e-3)


def test_a_delay_adds_the_states_between(task: Task) -> None:
    # h' = u h[t-3] + w x: fixed at w x/(1 - u), and λ³ = u.
    model = by_hand("skip-only-3", 1, 1, "identity", U=0.5, W=2)
    inputs = 1 + symmetric(9, 10)
    found = fixed_points(model, task, read(inputs))
    assert found is not None
    [point] = found.points
    assert point.state == {"h": pytest.approx([4.0])}
    assert moduli(point.eigenvalues) == pytest.approx([0.5 ** (1 / 3)] * 3)
    angles = sorted(math.atan2(im, re) for re, im in point.eigenvalues)
    assert angles == pytest.approx([-2 * math.pi / 3, 0, 2 * math.pi / 3], abs=1e-7)


def test_the_constant_input_is_the_most_frequent_one_that_repeats(task: Task) -> None:
    model = by_hand("elman", 3, 2, W=1)
    symbols = torch.tensor([[0, 1, 1], [1, 1, 2], [1, 0, 1]])
    inputs = torch.nn.functional.one_hot(symbols, 3)
    found = fixed_points(model, task, read(inputs))
    assert found is not None
    assert (found.input_kind, found.input) == ("most frequent", [0.0, 1.0, 0.0])
    # One that makes up less than a tenth stands for nothing.
    rare = torch.rand(10, 3, 3)
    rare[0, :2] = 1
    for steps, kind in ((10, "mean"), (6, "most frequent")):
        found = fixed_points(model, task, read(rare[:steps]))
        assert found is not None
        assert found.input_kind == kind
    # What lies beyond the ends is no input: of the first two columns 0 and 1, of the third 1 and 2.
    ends = torch.tensor([0, 0, 2])
    found = fixed_points(model, task, read(torch.cat([inputs, inputs * 0]), ends))
    assert found is not None
    assert found.input == [0.0, 1.0, 0.0]


def test_every_attractor_of_what_is_visited_is_found(task: Task) -> None:
    # Strong feedback makes many points, most of which attract nothing.
    model = by_hand("elman", 2, 10)
    draws = torch.Generator().manual_seed(0)
    patterns = torch.randn(10, 3, generator=draws).sign()
    with torch.no_grad():
        model.layer.U.copy_(2 / 10 * patterns @ patterns.T)
        model.layer.W.copy_(torch.randn(10, 2, generator=draws))
        model.layer.b.copy_(0.1 * torch.randn(10, generator=draws))
    batch = read(symmetric(20, 20, inputs=2))
    found = fixed_points(model, task, batch)
    assert found is not None
    assert found.fixed > found.stable > 2
    u, w, b = (p.detach().numpy() for p in (model.layer.U, model.layer.W, model.layer.b))
    h = np.zeros((40, 10))
    for x in [*batch.inputs.numpy(), *np.zeros((3000, 1, 2))]:
        h = np.tanh(x @ w.T + h @ u.T + b)
    stable = np.array([p.state["h"] for p in found.points if p.stability == "stable"])
    distances = np.linalg.norm(h[:, None] - stable, axis=-1).min(axis=1)
    assert distances.max() < 1e-6
    assert len(found.points) == 16 or len(found.points) == found.fixed + found.slow


@pytest.mark.parametrize("name", ["skip-5", "taugru", "lstm-peephole"])
def test_the_map_and_its_jacobian_where_the_steps_between_are_equal(name: str) -> None:
    model, task = made(task__name="adding", task__length=8, model__cell=name, model__hidden=3)
    visited = visits(model, task.validation().take(slice(4)))
    assert visited is not None
    step, draws = StepMap(visited, torch.tensor([0.3, -0.2]).double()), torch.Generator()
    size = 3 * len(step.cell.variables)
    s = torch.randn(2, size, generator=draws.manual_seed(0), dtype=torch.float64)
    parameters = {n: p.detach() for n, p in visited.parameters.items()}

    def once(v: torch.Tensor) -> torch.Tensor:
        of = dict(zip(step.cell.variables, v.split(3), strict=True))
        state = {n: of[n.partition("[")[0]][None] for n in step.cell.states}
        x = torch.tensor([[[0.3, -0.2]]]).double()
        _, last = reference.run(step.cell, step.phi, parameters, x, state)
        return torch.cat([last[n][0] for n in step.cell.variables])

    with torch.no_grad():
        torch.testing.assert_close(step(s), torch.stack([once(v) for v in s]))
        exact = torch.stack([jacrev(once)(v) for v in s])
        torch.testing.assert_close(step.jacobian(s), exact)


@each("name", CELLS)
def test_every_cell_stands_still_where_it_is_said_to(name: str) -> None:
    model, task = made(
        task__name="adding", task__length=8, model__cell=name, model__hidden=3, seed=2
    )
    found = fixed_points(model, task, task.validation().take(slice(6)), starts=4, settling=20)
    if name == "clockwork":  # its step depends on the time
        assert found is None
        return
    assert found is not None
    assert FixedPoints.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert all(math.isfinite(v) for v in found.summary().values())
    layer, cell = model.double().top, model.top.cell
    parameters = {n: getattr(layer, n).detach() for n in cell.parameters}
    x = torch.tensor(found.input, dtype=torch.float64)

    def step(values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        state = {n: v[None] for n, v in zip(cell.states, values, strict=True)}
        _, last = reference.run(cell, layer.phi, parameters, x[None, None], state)
        return tuple(last[n][0] for n in cell.states)

    for point in found.points:
        assert point.kind == "fixed"
        state = {n: torch.tensor(v, dtype=torch.float64) for n, v in point.state.items()}
        # "h[t-4]" holds what h held.
        at = tuple(state[n.partition("[")[0]] for n in cell.states)
        for value, after in zip(at, step(at), strict=True):
            torch.testing.assert_close(after, value, rtol=1e-9, atol=1e-9)
        blocks = jacrev(step)(at)
        whole = torch.cat([torch.cat(list(row), dim=1) for row in blocks])
        exact = torch.linalg.eigvals(whole).abs().sort(descending=True).values
        # A zero of a chain of k copies is found to no more than the k-th root of rounding.
        leading = exact > 0.2
        sizes = torch.tensor(moduli(point.eigenvalues), dtype=torch.float64)
        torch.testing.assert_close(sizes[leading], exact[leading], rtol=1e-6, atol=0)


@each("shape", SHAPES)
def test_every_kind_of_network_is_measured(shape: str) -> None:
    model, task, batch = of_shape(shape)
    found = fixed_points(model, task, batch, starts=4, settling=20)
    assert found is not None
    assert found.points
    assert len(found.points[0].state[model.top.cell.output]) == 4


def test_the_model_and_the_order_of_sequences_do_not_matter() -> None:
    model, task = made(task__name="temporal-order", task__length=12, model__hidden=3, seed=1)
    batch = task.validation().take(slice(20))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = fixed_points(model, task, batch)
    again = fixed_points(model, task, batch.take(torch.randperm(20)))
    assert found is not None
    assert again is not None
    assert found.summary() == pytest.approx(again.summary(), abs=1e-9)
    for one, other in zip(found.points, again.points, strict=True):
        assert one.state["h"] == pytest.approx(other.state["h"], abs=1e-9)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(layer._forward_pre_hooks for layer in model.layers)


@pytest.mark.parametrize("growth", [1.5, 9.0])  # in 1,000 steps to 1e176, and beyond floating point
def test_what_the_constant_input_drives_away_is_left_out(growth: float, task: Task) -> None:
    model = by_hand("linear", 1, 1, U=growth, W=1)
    found = fixed_points(model, task, read(symmetric(5, 8)), starts=10)
    assert found is not None
    [point] = found.points
    assert point.state["h"] == pytest.approx([0], abs=1e-12)
    assert point.stability == "unstable"
    assert 10 <= found.searches < 10 + 10
    assert (found.lost, point.reached) == (0, 1)


def test_states_that_explode_are_none(task: Task) -> None:
    model = by_hand("linear", 1, 2, U=1e60, W=1)
    assert fixed_points(model, task, read(torch.ones(5, 3, 1))) is None


def test_a_state_that_never_moves_is_one_fixed_point(task: Task) -> None:
    model = by_hand("elman", 1, 2)
    found = fixed_points(model, task, Batch(torch.ones(5, 3, 1), torch.zeros(1, 3, 1)))
    assert found is not None
    [point] = found.points
    assert (point.kind, point.state, point.timescales) == ("fixed", {"h": [0, 0]}, [0, 0])
