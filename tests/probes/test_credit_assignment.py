"""Truncated and randomized gradients beside the full one, against closed forms of a linear unit."""

import json
import math

import numpy as np
import pytest
import torch
from cases import each
from probed import by_hand, made, of_shape
from torch import Tensor

from study.networks.model import Model
from study.probes.credit_assignment import CreditAssignment, credit_assignment, windows
from study.tasks.base import Batch, Task

A, W = 0.8, 0.7
STEPS, SEQUENCES = 11, 8
DRAWN = 300


@pytest.fixture(scope="module")
def task() -> Task:
    """Whose loss is the squared error of the last prediction."""
    return made(task__name="adding", task__length=STEPS)[1]


def measured(model: Model, task: Task, batch: Batch, **how: int) -> CreditAssignment:
    found = credit_assignment(model, task, batch, torch.Generator().manual_seed(2), **how)
    assert found is not None
    return found


def scalar() -> tuple[Model, Batch]:
    """h_t = A h_{t-1} + W x_t and L = (h_T - y)²."""
    model = by_hand("elman", 1, 1, "identity", U=A, W=W)
    with torch.no_grad():
        model.readout.weight.fill_(1)
        model.readout.bias.zero_()
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(STEPS, SEQUENCES, 1, generator=draws, dtype=torch.float64)
    y = torch.randn(1, SEQUENCES, 1, generator=draws, dtype=torch.float64)
    return model, Batch(x, y)


def by_formula(batch: Batch, reach: int) -> np.ndarray:
    """(B,3): each sequence's gradient by W, U and b with the last ``reach`` steps alone:
    2 (h_T - y) Σ_{k < reach} A^k (x_{T-k}, h_{T-k-1}, 1)."""
    x, y = batch.inputs[..., 0].numpy(), batch.targets[0, :, 0].numpy()
    h = [np.zeros(SEQUENCES)]
    for now in x:
        h.append(A * h[-1] + W * now)
    back = [
        A**k * np.stack([x[STEPS - 1 - k], h[STEPS - 1 - k], np.ones(SEQUENCES)])
        for k in range(reach)
    ]
    return (2 * (h[-1] - y) * sum(back)).T


def test_truncation_of_a_linear_unit_by_its_formula(task: Task) -> None:
    model, batch = scalar()
    found = measured(model, task, batch)
    full = by_formula(batch, STEPS).mean(axis=0)
    # Cuts before steps K, 2K, …: of 11 steps K = 2 leaves 1, 4 leaves 3, 8 leaves 3.
    reaches = {1: 1, 2: 1, 4: 3, 8: 3, 11: 11}
    assert [e.steps for e in found.truncated] == list(reaches)
    assert (found.sequences, found.batch) == (SEQUENCES, 1)
    assert [e.steps for e in found.aligned] == list(reaches)
    cases = [(e, reaches[e.steps]) for e in found.truncated]
    for estimate, reach in [*cases, *((e, e.steps) for e in found.aligned)]:
        rows = by_formula(batch, reach)
        mean = rows.mean(axis=0)
        cosine = mean @ full / (np.linalg.norm(mean) * np.linalg.norm(full))
        assert estimate.cosine == pytest.approx(cosine, rel=1e-12)
        bias = np.linalg.norm(mean - full) / np.linalg.norm(full)
        assert estimate.relative_bias == pytest.approx(bias, rel=1e-9, abs=1e-12)
        variance = rows.var(axis=0, ddof=1).sum() / (full @ full)
        assert estimate.batch_variance == pytest.approx(variance, rel=1e-9)
        assert (estimate.bias_error, estimate.draw_variance) == (None, None)


def test_the_window_of_all_steps_is_the_full_gradient_exactly(task: Task) -> None:
    found = measured(*made(task__name="adding", task__length=9, model__hidden=3), some(task))
    for whole in (found.truncated[-1], found.aligned[-1]):
        assert whole.steps == STEPS
        assert whole.relative_bias == 0
        assert whole.cosine == pytest.approx(1, rel=1e-14)


def some(task: Task, count: int = 8) -> Batch:
    return task.validation().take(slice(count))


def test_the_randomized_rule_is_right_on_average(task: Task) -> None:
    model, batch = scalar()
    found = measured(model, task, batch, draws=DRAWN)
    assert [e.steps for e in found.randomized] == [2, 3, 6]  # 11/8 is below 2, the least
    for estimate in found.randomized:
        assert estimate.draw_variance is not None
        assert estimate.bias_error is not None
        assert estimate.draw_variance > 0
        error = math.sqrt(estimate.draw_variance / DRAWN)
        assert estimate.bias_error == pytest.approx(error, rel=1e-12)
        assert estimate.relative_bias < 3 * error
    # A biased rule of as long a reach is further away than that.
    assert found.truncated[2].relative_bias > 3 * max(e.bias_error or 0 for e in found.randomized)


def cut_chance(since: int, length: float, alpha: float = 4) -> float:
    """c_t of Tallec & Ollivier (2017), their equation for bounded weights."""
    return (alpha - 1) / ((alpha - 2) * length + since)


def test_the_variance_of_the_randomized_rule(task: Task) -> None:
    """Against all patterns of cuts, each with its probability, of five steps."""
    model, whole = scalar()
    batch = Batch(whole.inputs[-5:], whole.targets)
    found = measured(model, task, batch, draws=4 * DRAWN)
    (estimate,) = [e for e in found.randomized if e.steps == 2]
    x, y = batch.inputs[..., 0].numpy(), batch.targets[0, :, 0].numpy()
    h = [np.zeros(SEQUENCES)]
    for now in x:
        h.append(A * h[-1] + W * now)
    terms = [
        (2 * (h[-1] - y) * A**k * np.stack([x[4 - k], h[4 - k], np.ones(SEQUENCES)])).mean(axis=1)
        for k in range(5)
    ]
    full = np.sum(terms, axis=0)
    mean, square, cosine = np.zeros(3), 0.0, 0.0
    for pattern in range(16):
        probability, factors, since = 1.0, [], 1
        for t in range(1, 5):
            chance = cut_chance(since, 2)
            cut = bool(pattern >> (t - 1) & 1)
            probability *= chance if cut else 1 - chance
            factors.append(0.0 if cut else 1 / (1 - chance))
            since = 1 if cut else since + 1
        # The gradient at lag k has gone back through the steps T-1, …, T-k.
        weights = np.cumprod([1.0, *reversed(factors)])
        drawn = sum(w * term for w, term in zip(weights, terms, strict=True))
        mean += probability * drawn
        square += probability * float(drawn @ drawn)
        cosine += probability * float(drawn @ full / (np.linalg.norm(drawn) * np.linalg.norm(full)))
    np.testing.assert_allclose(mean, full, rtol=1e-12)
    variance = (square - full @ full) / (full @ full)
    # 1200 draws of a distribution with a tail: a few percent.
    assert estimate.draw_variance == pytest.approx(variance, rel=0.1)
    assert estimate.cosine == pytest.approx(cosine, abs=0.02)


def test_windows() -> None:
    assert windows(1) == [1]
    assert windows(2) == [1, 2]
    assert windows(8) == [1, 2, 4, 8]
    assert windows(11) == [1, 2, 4, 8, 11]


@pytest.mark.parametrize(("cosines", "expected"), [([0.2, 0.95, 0.5, 1], 2), ([0.9, 1, 1, 1], 1)])
def test_the_shortest_window_that_is_nearly_right(cosines: list[float], expected: int) -> None:
    found = CreditAssignment.from_dict(
        {
            "sequences": 8,
            "batch": 1,
            "truncated": [],
            "aligned": [
                {"steps": 2**k, "cosine": c, "relative_bias": 0.0, "bias_error": None,
                 "draw_variance": None, "batch_variance": 0.5}
                for k, c in enumerate(cosines)
            ],
            "randomized": [],
        }
    )  # fmt: skip
    assert found.window_cosine_90 == expected
    assert found.summary()["window_cosine_90"] == expected
    assert found.summary()["aligned_4/cosine"] == cosines[2]
    assert CreditAssignment.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@each("name", ["directions", "every step", "encoder and decoder", "soft attention"])
def test_of_every_kind_of_network(name: str) -> None:
    model, task, batch = of_shape(name)
    found = measured(model, task, batch, draws=2)
    assert found.truncated[-1].relative_bias == 0
    assert found.truncated[0] == found.aligned[0], "a window of one step is cut everywhere"
    assert found.truncated[0].relative_bias > 0
    assert found.aligned[-1].relative_bias == 0
    assert found.truncated[-1].steps == max(len(batch.inputs), len(batch.targets))


def test_batches_are_parts_of_what_is_measured() -> None:
    model, task = made(task__name="adding", task__length=5, model__hidden=3)
    found = measured(model, task, some(task, 19), draws=2)
    assert (found.sequences, found.batch) == (16, 2)
    alone = measured(model, task, some(task, 1), draws=2)
    assert (alone.sequences, alone.batch) == (1, 1)
    assert all(e.batch_variance is None for e in alone.truncated + alone.randomized)


def test_without_a_gradient_there_is_nothing_to_compare() -> None:
    model, task = made(task__name="adding", task__length=5, model__hidden=3)
    torch.nn.init.zeros_(model.readout.weight)
    assert credit_assignment(model, task, some(task), torch.Generator()) is None
    torch.nn.init.constant_(model.readout.weight, math.nan)
    assert credit_assignment(model, task, some(task), torch.Generator()) is None
    for parameter in model.top.parameters():
        parameter.requires_grad_(False)
    assert credit_assignment(model, task, some(task), torch.Generator()) is None


def test_a_rule_that_leaves_nothing_has_a_cosine_of_zero(task: Task) -> None:
    """W alone is trained, U = 1, and of the inputs the first alone is not zero: only T steps reach it."""
    model, batch = scalar()
    layer = model.top
    for name in ("U", "b"):
        layer.get_parameter(name).requires_grad_(False)
    with torch.no_grad():
        layer.get_parameter("U").fill_(1)
    inputs: Tensor = torch.zeros_like(batch.inputs)
    inputs[0] = 1.0
    found = measured(model, task, Batch(inputs, batch.targets), draws=2)
    assert [e.cosine for e in found.truncated] == pytest.approx([0, 0, 0, 0, 1])
    assert [e.relative_bias for e in found.truncated] == pytest.approx([1, 1, 1, 1, 0])
