"""What ends a training for good, and what it comes back from."""

import math

import pytest
import torch

from study.clipping import Clipped
from study.tasks.base import Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.divergence import EXPLODED, LASTING_UPDATES, Divergence
from study.trial.guessing import guesses
from study.trial.records import Evaluation, Result
from study.trial.training import DIVERGED_SCORE, score, train

FINITE = Clipped.unchanged(1.0)
IRNN = {
    "task.name": "adding",
    "task.length": 50,
    "model.cell": "elman",
    "model.phi": "relu",
    "model.hidden": 32,
    "init.recurrent.name": "identity",
    "init.input.name": "normal",
    "init.input.std": 0.1,
    "train.batch": 32,
    "train.steps": 1200,
    "train.evaluate_every": 50,
    "clip.name": "norm",
    "clip.threshold": 2.0,
}


def ended(watch: Divergence, losses: list[float], clip: Clipped = FINITE) -> int | None:
    """The update, from 1, at which the training of these losses is lost; None when it never is."""
    for number, loss in enumerate(losses, 1):
        if watch.diverged(loss, clip):
            return number
    return None


def test_an_explosion_is_divergence_once_it_has_lasted() -> None:
    chance, above = 0.5, 0.5 * EXPLODED * 1.01
    spike = [above] * (LASTING_UPDATES - 1)
    assert ended(Divergence(chance), [*spike, chance] * 5) is None
    assert ended(Divergence(chance), [chance, *spike, above, above]) == LASTING_UPDATES + 1
    assert ended(Divergence(chance), [0.5 * EXPLODED] * 1000) is None
    assert ended(Divergence(chance), [math.inf, *spike]) == LASTING_UPDATES
    assert ended(Divergence(chance), [math.nan, *spike]) == LASTING_UPDATES


@pytest.mark.parametrize("norm", [math.inf, math.nan])
def test_what_counts_is_the_gradient_that_the_clipping_rule_leaves(norm: float) -> None:
    clamped = Clipped(norm, 3.0, None, acted=True)
    assert ended(Divergence(1.0), [math.inf, 1.0], clamped) is None
    assert ended(Divergence(1.0), [1.0], Clipped.unchanged(norm)) == 1


def test_a_skipped_step_and_a_guess_count_neither_way() -> None:
    watch, skipped = Divergence(1.0), Clipped.unchanged(math.nan, skipped=True)
    assert ended(watch, [2 * EXPLODED] * (LASTING_UPDATES - 1)) is None
    assert ended(watch, [math.nan] * 500, skipped) is None
    assert not watch.diverged(math.inf, None)
    assert watch.diverged(2 * EXPLODED, FINITE)


def losses_and_result(
    monkeypatch: pytest.MonkeyPatch, **settings: object
) -> tuple[list[float], Result]:
    """Every training loss over that of chance, and how the training ended."""
    given = {**IRNN, **{name.replace("__", "."): value for name, value in settings.items()}}
    if given["clip.name"] == "none":
        del given["clip.threshold"]
    config = TrialConfig.from_flat(given)
    seen: list[float] = []
    real = Divergence.diverged

    def watched(self: Divergence, loss: float, clip: Clipped | None) -> bool:
        seen.append(loss / config.task.chance_loss)
        return real(self, loss, clip)

    monkeypatch.setattr(Divergence, "diverged", watched)
    *_, last = train(config)
    assert isinstance(last, Result)
    return seen, last


def test_a_network_that_comes_back_from_a_spike_solves_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The IRNN of quickstart at a learning rate of its upper half. Its second update throws it to
    # 80,000 times chance; it solves the task some 450 updates later.
    losses, done = losses_and_result(monkeypatch, train__lr=0.0137, seed=3)
    assert max(losses[:3]) > EXPLODED
    assert done.outcome == "solved"
    assert done.score < 0


def test_a_network_that_stays_exploded_has_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without clipping, by gradient descent: thrown to 1e22 times chance at its second update, it
    # would sink for 800 updates, to the level of chance.
    losses, done = losses_and_result(
        monkeypatch, train__optimizer="sgd", train__lr=0.01, clip__name="none"
    )
    assert (done.outcome, done.score) == ("diverged", DIVERGED_SCORE)
    assert LASTING_UPDATES <= done.steps < LASTING_UPDATES + 5
    assert all(loss > EXPLODED for loss in losses[-LASTING_UPDATES:])
    assert all(math.isfinite(loss) for loss in losses)


def test_a_validation_within_a_spike_is_no_best_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrialConfig.from_flat(
        {**IRNN, "train.lr": 0.001, "train.steps": 200, "task.length": 4}
    )
    real, calls = type(config.task).scores, []

    def scores(self: Task, predictions: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        calls.append(1)
        lost = {1: math.nan, 3: math.inf, 4: math.nan}
        if len(calls) > 4 * chunks:
            return real(self, predictions, targets)
        return {"loss": lost.get(-(-len(calls) // chunks), 0.9)}

    chunks = -(-len(config.task.validation()) // 500)
    monkeypatch.setattr(type(config.task), "scores", scores)
    records = list(train(config))
    done = records[-1]
    assert isinstance(done, Result)
    assert [r.step for r in records if isinstance(r, Evaluation)] == [0, 50, 100, 150, 200]
    assert done.outcome in ("budget", "solved")
    assert done.best["loss"] < 0.9


def test_a_score_is_a_number_whatever_the_loss_was() -> None:
    for loss in (math.nan, math.inf, 1e300):
        assert score("budget", 1.0, loss, 0.5) == DIVERGED_SCORE


def test_guesses_go_on_from_a_start_that_is_not_finite() -> None:
    config = TrialConfig.from_flat(
        {"task.name": "latching", "model.hidden": 1, "model.cell": "elman"}
    )
    model = build_model(config)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    sample = next(config.task.training(0, 20))
    draws = torch.Generator().manual_seed(0)
    first = next(guesses(model, config.task, sample, 1.0, draws))
    assert math.isfinite(first.loss)
    assert all(p.isfinite().all() for p in model.parameters())
