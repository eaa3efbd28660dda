"""Random weight guessing: what is drawn, what is counted, what it solves."""

import math
from itertools import islice

import pytest
import torch

from study.base.errors import UserError
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.guessing import guesses
from study.trial.records import Evaluation, Record, Result
from study.trial.training import train

LATCH = {
    "task.name": "latching",
    "task.length": 20,
    "model.cell": "elman",
    "model.hidden": 1,
    "train.optimizer": "guess",
    "train.steps": 2000,
    "train.batch": 100,
    "train.evaluate_every": 500,
}


def config(**changes: object) -> TrialConfig:
    return TrialConfig.from_flat({**LATCH, **{k.replace("__", "."): v for k, v in changes.items()}})


def run(c: TrialConfig) -> list[Record]:
    return list(train(c))


def result(records: list[Record]) -> Result:
    assert isinstance(records[-1], Result)
    return records[-1]


@pytest.fixture(autouse=True)
def small_held_out_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 200)


def test_every_number_is_uniform_in_the_range() -> None:
    c = config(model__hidden=20, model__cell="lstm", task__length=4, task__variance=2.0)
    model = build_model(c)
    generator = torch.Generator().manual_seed(1)
    sample = next(c.task.training(0, 4))
    drawn = []
    before = model.readout.weight.detach().clone()
    rule = c.task.model_copy(update={"solved_at": 0.0})  # every guess solves, so each one stays
    for _ in islice(guesses(model, rule, sample, 3.0, generator), 20):
        drawn += [p.detach().flatten().clone() for p in model.parameters()]
    values = torch.cat(drawn)
    assert not torch.equal(model.readout.weight, before)
    assert float(values.abs().max()) <= 3
    # uniform on [-3,3]: mean 0, variance 3, and as many in each tenth
    assert float(values.mean()) == pytest.approx(0, abs=0.05)
    assert float(values.var()) == pytest.approx(3, rel=0.03)
    counts = torch.histc(values, 10, -3, 3) / len(values)
    assert float((counts - 0.1).abs().max()) < 0.01
    assert len(values.unique()) > 0.99 * len(values), "guesses repeat"


def test_between_solutions_the_model_holds_the_best_so_far() -> None:
    c = config(task__solved_at=1.0, train__batch=30, task__variance=1.0)
    model, generator = build_model(c), torch.Generator().manual_seed(2)
    sample = next(c.task.training(0, 30))
    least = math.inf
    with torch.no_grad():
        for guess in islice(guesses(model, c.task, sample, 5.0, generator), 60):
            now = c.task.scores(model(sample), sample.targets)
            assert now["loss"] == pytest.approx(guess.loss, rel=1e-6)
            assert guess.solves == c.task.solved(now)
            if not guess.solves:
                assert guess.loss <= least
            least = min(least, guess.loss)


def test_latching_is_guessed_within_few_trials() -> None:
    """Schmidhuber, Hochreiter & Bengio (2001) need 22 with one tanh unit and its two inputs; the
    readout's two numbers make it about twice as many: its sign and a bias below it."""
    steps = []
    for seed in range(8):
        records = run(config(seed=seed))
        done = result(records)
        assert done.outcome == "solved"
        assert done.best["correct"] >= 0.99
        evaluated = [r.step for r in records if isinstance(r, Evaluation)]
        assert evaluated[-1] == done.steps, "counted exactly, not by evaluations"
        steps.append(done.steps)
    assert 5 < sum(steps) / len(steps) < 300
    assert len(set(steps)) > 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_two_sequence_problem_is_guessed_at_a_lag_of_100(seed: int) -> None:
    """Hochreiter & Schmidhuber (1997): LSTM takes 27,380 sequences to ST1, guessing far fewer."""
    done = result(
        run(
            TrialConfig.from_flat(
                {**LATCH, "seed": seed, "task.name": "two-sequence", "task.length": 100}
            )
        )
    )
    assert done.outcome == "solved"
    assert done.best["correct"] == 1


def test_a_budget_that_solves_nothing_counts_its_guesses_and_keeps_the_best() -> None:
    records = run(config(task__name="parity", task__length=30, train__steps=40))
    done = result(records)
    assert (done.outcome, done.steps) == ("budget", 40)
    assert done.clip_rate == 0
    assert done.skipped_steps == 0
    curves = {k for r in records if isinstance(r, Evaluation) for k in r.values}
    assert "train/loss" in curves
    assert "train/grad_norm" not in curves
    first = next(r for r in records if isinstance(r, Evaluation))
    assert done.best["loss"] <= first.values["validation/loss"]


def test_the_same_seed_guesses_the_same() -> None:
    one, again, other = (result(run(config(seed=s))) for s in (3, 3, 4))
    assert (one.steps, one.best) == (again.steps, again.best)
    assert one.best != other.best


def test_a_wider_range_is_another_search() -> None:
    small = result(run(config(train__guess_range=0.01, train__steps=100)))
    assert small.outcome == "budget"  # no weight of 0.01 holds anything for 20 steps


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"credit": "rtrl"}, "credit 'rtrl' acts on a gradient"),
        ({"regularizer": "pascanu"}, "regularizer 'pascanu' acts on a gradient"),
        ({"train.momentum": 0.5}, "momentum"),
        ({"train.input_noise": 0.5}, "input_noise"),
        (
            {"train.optimizer": "sgd", "train.guess_range": 5.0},
            "guess_range is a parameter of guess",
        ),
        ({"train.guess_range": 0.0}, "guess_range"),
    ],
)
def test_what_guessing_has_not_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told) as refusal:
        TrialConfig.from_flat({**LATCH, **changes})
    assert "\n" not in str(refusal.value)


def test_guessing_is_an_arm_of_a_sweep(tmp_path) -> None:
    from study.spaces.file import load

    file = tmp_path / "guess.toml"
    file.write_text(
        '[study]\nquestion = "Is it hard?"\ntrials = 2\nreruns = 0\n[fixed]\ntask = "latching"\n'
        '[compare.how]\nlearned = { train.optimizer = "adam" }\n'
        'guessed = { train.optimizer = "guess", train.guess_range = 10.0 }\n'
        "[search]\n"
        'train.lr = { low = 0.001, high = 0.1, log = true, when = { train.optimizer = "adam" } }\n'
    )
    assert [arm.slug for arm in load(file).arms()] == ["learned", "guessed"]
