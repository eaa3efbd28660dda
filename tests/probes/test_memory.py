"""What is remembered, against networks whose memory is known by algebra."""

import json
import math

import numpy as np
import pytest
import torch
from cases import each
from probed import SHAPES, by_hand, made, of_shape, read

from study.cells import CELLS
from study.networks.predictor import Predictor
from study.probes.memory import Memory, as_classes, chosen_lags, memory
from study.probes.ridge import STRENGTHS, Ridge
from study.tasks.base import Task


@pytest.fixture(scope="module")
def task() -> Task:
    return made(task__name="adding", task__length=10)[1]


def noise(steps: int, sequences: int, inputs: int = 1) -> torch.Tensor:
    draws = torch.Generator().manual_seed(4)
    return torch.randn(steps, sequences, inputs, generator=draws, dtype=torch.float64)


def shift_register(places: int, inputs: int = 1) -> Predictor:
    """The input goes from place to place, one a step, and out at the end."""
    size = places * inputs
    u = torch.diag(torch.ones(size - inputs), -inputs)
    return by_hand("linear", inputs, size, U=u, W=torch.eye(size, inputs))


def test_a_shift_register_remembers_as_many_inputs_as_it_has_places(task: Task) -> None:
    found = memory(shift_register(6), task, read(noise(20, 400)))
    assert found is not None
    assert (found.measure, found.lags) == ("r2", list(range(20)))
    assert found.chance == [0] * 20
    np.testing.assert_allclose(found.scores["h"][:6], 1, rtol=0, atol=1e-12)
    # No state knows: the readout's error is no smaller than the input, up to what 200 sequences tell.
    np.testing.assert_allclose(found.scores["h"][6:], 0, atol=0.05)
    values = found.summary()
    assert values["h/half_steps"] == 5
    assert found.lags[5] == task.lag[0] == 5
    assert values["h/at_task_lag"] == pytest.approx(1)


def test_a_shift_register_of_symbols(task: Task) -> None:
    draws = torch.Generator().manual_seed(2)
    symbols = torch.randint(0, 3, (14, 200), generator=draws)
    model = shift_register(4, inputs=3)
    found = memory(model, task, read(torch.nn.functional.one_hot(symbols, 3)))
    assert found is not None
    assert found.measure == "accuracy"
    assert found.scores["h"][:4] == [1] * 4
    # Equally frequent symbols: a constant is right one time in three.
    np.testing.assert_allclose(found.chance, 1 / 3, atol=0.08)
    np.testing.assert_allclose(found.scores["h"][4:], 1 / 3, atol=0.08)
    np.testing.assert_allclose(found.above_chance("h")[:4], 1)


def test_a_leaky_integrator_remembers_less_at_each_step_by_its_square(task: Task) -> None:
    # h_t = Σ a^k x_{t-k}: R² at k is a^2k/Var h, with Var h_t = (1 - a^(2t+2))/(1 - a²) from zero.
    a, steps = 0.8, 30
    found = memory(by_hand("linear", 1, 1, U=a, W=1), task, read(noise(steps, 3000)))
    assert found is not None
    for k, score in zip(found.lags, found.scores["h"], strict=True):
        variance = np.mean([(1 - a ** (2 * t + 2)) / (1 - a**2) for t in range(k, steps)])
        # 8192 pairs a half: the standard error of R² is at most about 2√(R²/8192) = 0.014.
        assert score == pytest.approx(a ** (2 * k) / variance, abs=0.05)


def test_two_states_are_read_one_by_one(task: Task) -> None:
    # s keeps 0.95 of itself; h, which reads nothing back, is a squashed W x alone.
    model = by_hand("scrn", 1, 1, W=1, W_s=1)
    found = memory(model, task, read(noise(12, 400)))
    assert found is not None
    assert set(found.scores) == {"h", "s"}
    assert found.scores["h"][0] > 0.9
    assert found.scores["h"][1] == pytest.approx(0, abs=0.05)
    variance = np.mean([(1 - 0.95 ** (2 * t + 2)) / (1 - 0.95**2) for t in range(4, 12)])
    assert found.scores["s"][4] == pytest.approx(0.95**8 / variance, abs=0.06)


def test_what_lies_beyond_the_end_is_not_read(task: Task) -> None:
    inputs = noise(9, 120)
    ends = torch.arange(120) % 4 + 5
    live = torch.arange(9)[:, None] <= ends
    leaky = by_hand("linear", 1, 1, U=0.8, W=1)
    zeros, others = read(inputs * live[..., None], ends), read(inputs, ends)
    assert memory(leaky, task, zeros) == memory(leaky, task, others)
    found = memory(shift_register(9), task, zeros)
    assert found is not None
    np.testing.assert_allclose(found.scores["h"], 1, atol=1e-9)
    assert found.lags == list(range(9))


def test_inputs_that_never_vary_are_not_asked_for(task: Task) -> None:
    model = shift_register(3, inputs=2)
    inputs = noise(8, 20, 2)
    inputs[..., 1] = 7
    found = memory(model, task, read(inputs))
    assert found is not None
    np.testing.assert_allclose(found.scores["h"][:3], 1, atol=1e-9)
    assert memory(model, task, read(inputs * 0)) is None
    assert memory(model, task, read(inputs * 0 + 3)) is None
    # A symbol that is always shown first: nothing varies at the longest lag.
    symbols = torch.zeros(3, 8, dtype=torch.long)
    symbols[1:] = torch.arange(16).view(2, 8) % 2
    found = memory(model, task, read(torch.nn.functional.one_hot(symbols, 2)))
    assert found is not None
    assert found.lags == [0, 1]


def test_too_few_steps_or_sequences(task: Task) -> None:
    assert memory(shift_register(3), task, read(noise(1, 40))) is None
    assert memory(shift_register(3), task, read(noise(10, 3))) is None
    # Two sequences a half, at two steps or at one: three units would fit whatever they hold.
    found = memory(shift_register(3), task, read(noise(2, 4)))
    assert found is not None
    assert found.lags == [0]


def test_states_that_explode_are_none(task: Task) -> None:
    model = by_hand("linear", 1, 2, U=1e60, W=1)
    assert memory(model, task, read(noise(6, 8))) is None


def test_the_summary_is_above_chance_and_of_the_lags_that_were_measured() -> None:
    scores = {"h": [1.0, 0.8, 0.6, 0.9]}
    found = Memory("accuracy", [0, 1, 4, 8], [0.2, 0.2, 0.4, 0.5], scores, (4, 20))
    # (0.6 - 0.4)/(1 - 0.4); half is last reached at 1, for all that comes after.
    assert found.summary() == {"h/at_task_lag": pytest.approx(1 / 3), "h/half_steps": 1}
    longer = Memory("accuracy", [0, 1, 4, 8], [0.2, 0.2, 0.4, 0.5], scores, (6, 20))
    assert longer.summary() == {"h/half_steps": 1}
    nothing = Memory("r2", [0, 1], [0, 0], {"h": [0.4, 0.9]}, (1, 1))
    assert nothing.summary()["h/half_steps"] == -1


def test_lags_are_all_or_closer_where_they_are_short() -> None:
    assert chosen_lags(5, 8, 3) == [0, 1, 2, 3, 4]
    some = chosen_lags(1000, 20, 500)
    assert some[:4] == [0, 1, 2, 3]
    assert {500, 999} <= set(some)
    assert len(some) <= 21
    assert 500 not in chosen_lags(500, 20, 500)


def test_symbols_are_told_from_numbers() -> None:
    symbols = torch.tensor([[[0.0, 1], [1, 0]], [[0, 0], [0, 1]]])
    assert as_classes(symbols).tolist() == [[1, 0], [2, 1]]  # type: ignore[union-attr]
    assert as_classes(torch.tensor([[[1.0, 1]]])) is None
    assert as_classes(torch.tensor([[[0.5, 0]]])) is None
    assert as_classes(torch.tensor([[[-1.0, 0]]])) is None


@pytest.mark.parametrize("seed", range(12))
def test_the_penalty_minimizes_generalized_cross_validation(seed: int) -> None:
    draws, n = torch.Generator().manual_seed(seed), 16
    x = torch.randn(n, 12, generator=draws, dtype=torch.float64)
    y = x[:, :2] + torch.randn(n, 2, generator=draws, dtype=torch.float64)
    centred, wanted = x - x.mean(0), y - y.mean(0)
    best, unit = math.inf, torch.eye(12, dtype=torch.float64)
    for strength in (STRENGTHS * (centred.T @ centred).trace() / 12).tolist():
        hat = centred @ torch.linalg.solve(centred.T @ centred + strength * unit, centred.T)
        left = wanted - hat @ wanted
        # The mean is fitted as well: one more degree of freedom.
        score = float(n * left.square().sum() / (n - 1 - hat.trace()) ** 2)
        if score < best:
            best, expected = score, y.mean(0) + hat @ wanted
    torch.testing.assert_close(Ridge(x, y)(x), expected, rtol=1e-6, atol=1e-6)


def test_units_that_are_copies_or_constants_do_no_harm() -> None:
    x = noise(1, 50, 3)[0]
    wide = torch.cat([x, x, torch.ones(50, 1).double()], dim=1)
    y = x @ torch.tensor([[1.0], [2], [3]]).double() + 4
    torch.testing.assert_close(Ridge(wide, y)(wide), y, rtol=0, atol=1e-7)
    constant = torch.ones(50, 2).double()
    torch.testing.assert_close(Ridge(constant, y)(constant), y.mean(0).expand(50, 1))


@each("name", CELLS)
def test_every_cell_is_measured(name: str) -> None:
    model, task = made(task__name="adding", task__length=8, model__cell=name, model__hidden=3)
    found = memory(model, task, task.validation().take(slice(16)), lags=4)
    assert found is not None
    assert Memory.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert set(found.scores) == set(CELLS[name].variables)
    assert {"at_task_lag", "half_steps"} == {n.partition("/")[2] for n in found.summary()}
    for scores in found.scores.values():
        assert all(math.isfinite(s) and s <= 1 for s in scores)


@each("shape", [name for name in SHAPES if name != "one step read"])
def test_every_kind_of_network_is_measured(shape: str) -> None:
    found = memory(*of_shape(shape))
    assert found is not None
    assert 0 in found.lags


def test_where_one_step_is_read_there_is_nothing_to_remember_it_by() -> None:
    assert memory(*of_shape("one step read")) is None


def test_the_model_and_the_order_of_sequences_do_not_matter() -> None:
    model, task = made(task__name="temporal-order", task__length=12, model__hidden=3, seed=1)
    batch = task.validation().take(slice(40))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found, again = (memory(model, task, b) for b in (batch, batch.take(torch.randperm(40))))
    assert found is not None
    assert again is not None
    assert found.lags == again.lags
    for state, scores in found.scores.items():
        assert scores == pytest.approx(again.scores[state], abs=1e-6)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
