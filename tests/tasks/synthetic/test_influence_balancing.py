"""Influence balancing: what is exact of it, and what training shows."""

import itertools

import pytest
import torch

from study.base.errors import UserError
from study.networks.layer import Layer
from study.networks.predictor import Predictor
from study.probes.audit import audit
from study.tasks import TASKS
from study.tasks.synthetic.influence_balancing import InfluenceBalancing
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.records import Evaluation, Result
from study.trial.training import train

NETWORK = {
    "task": "influence-balancing",
    "model.cell": "influence",
    "model.hidden": 23,
    "clip": "none",
    "train.optimizer": "sgd",
    "train.lr": 0.001,
}


def config(**changes: object) -> TrialConfig:
    return TrialConfig.from_flat(NETWORK | {k.replace("__", "."): v for k, v in changes.items()})


def task_of(length: int) -> InfluenceBalancing:
    task = TASKS.build({"name": "influence-balancing", "length": length})
    assert isinstance(task, InfluenceBalancing)
    return task


def loss_at(task: InfluenceBalancing, theta: float) -> float:
    layer = Layer("influence", 1, 23, dtype=torch.float64)
    [free] = layer.parameters()
    with torch.no_grad():
        free.fill_(theta)
        batch = task.validation().to(torch.float64)
        return float(task.loss(layer(batch.inputs)[0][..., :1], batch.targets))


# --- what is exact ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2, 17, 60, 109, 110, 400, 1000])
def test_the_floor_is_the_least_of_the_parabola_that_the_cell_runs_through(length: int) -> None:
    """A loss that is quadratic in θ is known from three of its values."""
    task = task_of(length)
    low, middle, high = (loss_at(task, theta) for theta in (-1.0, 0.0, 1.0))
    curvature, slope = (low + high) / 2 - middle, (high - low) / 2
    assert task.best_theta == pytest.approx(-slope / (2 * curvature), rel=1e-9)
    assert task.floor_loss == pytest.approx(middle - slope**2 / (4 * curvature), rel=1e-9)
    assert loss_at(task, task.best_theta) == pytest.approx(task.floor_loss, rel=1e-9)
    assert middle == task.chance_loss == 0.5
    assert (task.best_theta < 0) == (length >= 110)  # as the docstring says


def test_the_numbers_in_the_docstring() -> None:
    task = task_of(400)
    assert (round(task.best_theta, 4), round(task.floor_loss, 3)) == (-0.1005, 0.281)
    assert loss_at(task, 0.5) == pytest.approx(8.1, abs=0.01)
    longest = task_of(10_000)
    assert longest.best_theta == pytest.approx(-1 / 6, abs=0.004)  # falls as 1/T
    assert longest.floor_loss < 0.02
    layer = Layer("influence", 1, 23, dtype=torch.float64)
    state = layer(task.validation().inputs.double())[0][:, 0, 0].detach() * 2  # θ starts at 1/2
    assert state.argmax() == 19 - 1
    assert round(float(state.max()), 1) == 16.5
    assert (state[:40] > 0).all()
    assert (state[40:] < 0).all()
    assert float(state[-1]) == pytest.approx(-6)
    assert 2 / float(state.square().mean()) == pytest.approx(0.046, abs=5e-4)  # 2 / curvature


def gradient(theta: float, window: int) -> float:
    """Of the loss at 400 steps, truncated: s_0's error times what the window has seen of ∂s_0/∂θ."""
    units, seen, total = [0.0] * 24, [0.0] * 24, 0.0
    for t in range(400):
        if t % window == 0:
            seen = [0.0] * 24
        for i in range(23):
            sign = 1 if i < 10 else -1
            units[i] = (units[i] + units[i + 1]) / 2 + theta * sign
            seen[i] = (seen[i] + seen[i + 1]) / 2 + sign
        total += (units[0] - 1) * seen[0] / 400
    return total


def test_windows_up_to_89_move_it_up_and_longer_ones_down() -> None:
    for window in (1, 2, 5, 10, 20, 40, 60, 80, 89, 90, 100, 150, 200, 300, 400):
        layer = Layer("influence", 1, 23, dtype=torch.float64)
        batch = task_of(400).validation().to(torch.float64)
        outputs, _ = layer(batch.inputs, credit={"name": "truncated", "window": window})
        task_of(400).loss(outputs[..., :1], batch.targets).backward()
        [theta] = layer.parameters()
        assert theta.grad is not None
        assert float(theta.grad) == pytest.approx(gradient(0.5, window), rel=1e-9)
        assert (float(theta.grad) < 0) == (window <= 89), window


@pytest.mark.parametrize(("window", "theta"), [(100, 0.042), (200, -0.081)])
def test_a_longer_window_does_not_lead_to_the_best(window: int, theta: float) -> None:
    below, above = gradient(theta - 0.001, window), gradient(theta + 0.001, window)
    assert below < 0 < above


def test_the_matrix_is_the_known_one() -> None:
    """½(I + N), N one above the diagonal: eigenvalues ½; singular values cos(kπ/(2n + 1))."""
    measured = audit(Layer("influence", 1, 23)).matrices["U"]
    assert measured.spectral_radius == pytest.approx(0.5)
    assert measured.largest_singular_value == pytest.approx(
        float(torch.cos(torch.tensor(torch.pi / 47))), rel=1e-6
    )


# --- the state is what is read --------------------------------------------------------------------


def test_nothing_is_trained_after_the_state() -> None:
    model = build_model(config())
    assert [p.tolist() for p in model.parameters()] == [[0.5]]
    assert model.parameter_count() == 1
    batch = next(config().task.training(0, 64))
    assert len(batch) == 1
    outputs, _ = model.top(batch.inputs)
    assert torch.equal(model(batch), outputs[..., :1])


@pytest.mark.parametrize("cell", ["lstm", "elman"])
def test_any_cell_is_read_so(cell: str) -> None:
    model = build_model(config(model__cell=cell, model__layers=2, model__hidden=4))
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"layer"}
    assert model(next(config().task.training(0, 1))).shape == (400, 1, 1)


def test_what_would_be_trained_after_it_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"reads the state itself.* set model.deep_output to 0"
    ) as no:
        config(model__deep_output=1)
    assert "\n" not in str(no.value)
    with pytest.raises(UserError, match="3 numbers of it, and there are 2; take more units"):
        Predictor(Layer("lstm", 1, 2), 3, "every", reads_state=True)


# --- training -------------------------------------------------------------------------------------


def losses(c: TrialConfig) -> tuple[list[float], Result]:
    """The validation loss over the updates."""
    *records, result = train(c)
    assert isinstance(result, Result)
    found = [r.values for r in records if isinstance(r, Evaluation)]
    return [v["validation/loss"] for v in found if "validation/loss" in v], result


@pytest.mark.parametrize("rate", [1e-3, 1e-4])
def test_a_short_window_makes_every_update_worse(rate: float) -> None:
    window = {"credit": "truncated", "credit.window": 10}
    steps = {"train.steps": 40, "train.evaluate_every": 1, "train.lr": rate}
    found, result = losses(config(**window, **steps))
    assert len(found) == 41
    assert all(later > earlier for earlier, later in itertools.pairwise(found))
    assert result.outcome == "budget"
    assert result.best_step == 0
    assert result.score == 10


@pytest.mark.parametrize("credit", ["full", "rtrl", "artbp"])
def test_without_bias_it_is_solved(credit: str) -> None:
    length = {"credit.length": 16.0} if credit == "artbp" else {}
    found, result = losses(config(credit=credit, train__evaluate_every=10, **length))
    assert result.outcome == "solved"
    assert result.steps <= 200
    floor = task_of(400).floor_loss
    assert floor * (1 - 1e-5) <= found[-1] <= 1.01 * floor  # float32


def test_the_margin_decides() -> None:
    task = task_of(400)
    assert task.solved({"loss": 1.0099 * task.floor_loss})
    assert not task.solved({"loss": 1.0101 * task.floor_loss})
    wide = TASKS.build({"name": "influence-balancing", "solved_within": 0.5})
    assert wide.solved({"loss": 1.49 * task.floor_loss})
