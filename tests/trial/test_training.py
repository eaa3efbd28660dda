"""Training: the same numbers again, honest outcomes, and a caller who decides."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from study.base.seeding import generator
from study.clipping import CLIPPING
from study.tasks import TASKS
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.patience import Patience
from study.trial.probing import Probed
from study.trial.records import Evaluation, Record, Result, Trained
from study.trial.training import DIVERGED_SCORE, evaluate, score, train


@pytest.fixture(autouse=True)
def small_held_out_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 60)
    monkeypatch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 300)


TINY = {
    "task.name": "adding",
    "task.length": 6,
    "model.hidden": 4,
    "train.batch": 8,
    "train.steps": 20,
    "train.evaluate_every": 5,
}


def config(**changes: object) -> TrialConfig:
    return TrialConfig.from_flat({**TINY, **{k.replace("__", "."): v for k, v in changes.items()}})


def timeless(record: Record) -> Record:
    if isinstance(record, Result):
        return replace(record, wall_seconds=0.0, seconds_per_step=0.0)
    return record


def run(c: TrialConfig, **options: bool) -> list[Record]:
    return [timeless(record) for record in train(c, **options)]


def evaluations(records: list[Record]) -> list[Evaluation]:
    return [r for r in records if isinstance(r, Evaluation)]


def result(records: list[Record]) -> Result:
    assert isinstance(records[-1], Result)
    return records[-1]


@pytest.mark.parametrize("task", [name for name, cls in TASKS.items() if not cls.needs_files])
def test_the_same_configuration_gives_the_same_records(task: str) -> None:
    small = {"task.length": 12} if "length" in TASKS[task].model_fields else {}
    c = TrialConfig.from_flat(
        {**{k: v for k, v in TINY.items() if not k.startswith("task.")}, "task.name": task, **small}
        | {"train.steps": 6, "train.evaluate_every": 3}
    )
    torch.manual_seed(0)
    one = run(c, test=True)
    torch.manual_seed(99)  # the global generator has no say
    assert run(c, test=True) == one
    assert run(c.model_copy(update={"seed": 1}), test=True) != one


@pytest.mark.parametrize("clip", ["none", "norm", "value"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "nesterov", "rmsprop"])
def test_the_records_come_in_order(optimizer: str, clip: str) -> None:
    probes = "gradient_flow,audit,state_gradients"
    records = run(config(train__optimizer=optimizer, clip=clip, train__probes=probes))
    assert isinstance(records[-2], Trained)
    told = [
        (r.probe, r.stage, r.step) if isinstance(r, Probed) else type(r).__name__ for r in records
    ]
    within = [("state_gradients", "training", step) for step in (5, 10, 15)]
    assert told == [
        ("gradient_flow", "init", 0),
        ("audit", "init", 0),
        ("state_gradients", "init", 0),
        "Evaluation",
        *(each for at in within for each in ("Evaluation", at)),
        "Evaluation",
        ("gradient_flow", "final", 20),
        ("state_gradients", "final", 20),
        "Trained",
        "Result",
    ]
    assert [r.step for r in evaluations(records)] == [0, 5, 10, 15, 20]
    done = result(records)
    assert (done.outcome, done.steps) == ("budget", 20)
    assert done.test == {}
    assert done.parameters == sum(p.numel() for p in build_model(config()).parameters())
    assert 0 <= done.clip_rate <= 1
    if clip == "none":
        assert done.clip_rate == 0


def test_the_last_interval_may_be_shorter() -> None:
    records = run(config(train__steps=7, train__evaluate_every=3))
    assert [r.step for r in evaluations(records)] == [0, 3, 6, 7]
    assert result(records).steps == 7
    records = run(config(train__steps=2, train__evaluate_every=50))
    assert [r.step for r in evaluations(records)] == [0, 2]


def test_how_often_one_looks_does_not_change_the_training() -> None:
    often = run(config(train__evaluate_every=1))
    seldom = run(config(train__evaluate_every=20))
    assert result(often).final == result(seldom).final


def test_best_is_the_lowest_validation_loss_and_final_the_last() -> None:
    records = run(config(train__lr=0.3, train__evaluate_every=1, train__steps=30))
    losses = {r.step: r.values["validation/loss"] for r in evaluations(records)}
    done = result(records)
    assert done.best["loss"] == min(losses.values())
    assert losses[done.best_step] == done.best["loss"]
    assert done.final["loss"] == losses[30]
    assert done.best != done.final, "the case must tell them apart"
    assert done.score == pytest.approx(done.best["loss"] * 6)


@pytest.mark.parametrize("clip", ["none", "norm"])
def test_test_set_is_read_only_on_request(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    c = config(clip=clip)
    expected = run(c, test=True)

    def forbidden(self: Task) -> None:
        raise AssertionError("the test set was read")

    monkeypatch.setattr(type(c.task), "test", forbidden)
    assert result(run(c)).test == {}
    with pytest.raises(AssertionError, match="was read"):
        run(c, test=True)
    # Reading it changes nothing else.
    assert replace(result(expected), test={}) == result(run(c))


def test_the_best_parameters_are_tested_not_the_last() -> None:
    c = config(train__lr=0.3, train__evaluate_every=1, train__steps=30)
    best_step = result(run(c)).best_step
    assert 0 < best_step < 30
    # Budgets do not change the updates: stopping there leaves the parameters that were best.
    stopped = config(train__lr=0.3, train__evaluate_every=1, train__steps=best_step)
    assert result(run(c, test=True)).test == result(run(stopped, test=True)).test


def test_divergence_is_an_outcome() -> None:
    c = config(
        train__optimizer="sgd",
        train__lr=1e6,
        clip="none",
        model__cell="elman",
        model__phi="relu",
        train__steps=50,
    )
    done = result(run(c, test=True))
    assert done.outcome == "diverged"
    assert done.score == DIVERGED_SCORE
    assert done.steps < 50
    assert math.isfinite(done.best["loss"])


def test_norm_clipping_survives_a_gradient_too_large_for_float32_squares() -> None:
    # phi = identity and U = 9·I over 21 steps: states of about 9^21 = 1e20.
    c = config(
        model__cell="elman",
        model__phi="identity",
        init__recurrent="scaled-identity",
        init__recurrent__scale=3.0,
        task__length=20,
        train__steps=1,
    )
    records = run(c)
    norm = next(r for r in evaluations(records) if r.step == 1).values["train/grad_norm"]
    assert 1e10 < norm < math.inf


def test_a_network_that_is_not_finite_at_once_has_diverged() -> None:
    c = config(
        model__cell="elman",
        model__phi="identity",
        init__recurrent="scaled-identity",
        init__recurrent__scale=1e6,
        task__length=50,
    )
    records = run(c)
    done = result(records)
    assert done.outcome == "diverged"
    assert done.score == DIVERGED_SCORE
    assert records[0] == Probed("gradient_flow", "init", 0, None)


def test_a_lost_start_does_not_hide_what_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    # NaN compares as neither lower nor higher: as a first "best" it would stay for ever.
    c = config()
    real = type(c.task).scores
    calls = []

    def scores(self: Task, predictions: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        calls.append(1)
        return {"loss": math.nan} if len(calls) == 1 else real(self, predictions, targets)

    monkeypatch.setattr(type(c.task), "scores", scores)
    done = result(run(c))
    assert done.outcome == "diverged" or math.isfinite(done.score)
    assert not math.isnan(done.score)


def test_solved_stops_early_and_counts_the_steps() -> None:
    # Chance is 0.167; any net that outputs about the mean is below 0.16 … and the rule says solved.
    c = config(train__steps=400, train__lr=0.02)
    c = c.model_copy(update={"task": c.task.model_copy(update={"solved_below": 0.166})})
    records = run(c, test=True)
    done = result(records)
    assert done.outcome == "solved"
    assert 0 < done.steps < 400
    assert done.final["loss"] < 0.166
    assert done.best == done.final
    assert done.best_step == done.steps
    assert done.score == done.steps / 400 - 1
    for before in evaluations(records)[:-1]:  # was not met, or not confirmed
        met = before.values["validation/loss"] < 0.166
        assert before.values.get("confirmation/met") == (0 if met else None)
    assert evaluations(records)[-1].values["confirmation/met"] == 1
    assert set(done.test) == {"loss", "criterion_met"}
    assert done.test["criterion_met"] == (done.test["loss"] < 0.166)


def easily_solved(**changes: object) -> TrialConfig:
    c = config(train__steps=60, train__lr=0.02, **changes)
    return c.model_copy(update={"task": c.task.model_copy(update={"solved_below": 10.0})})


def test_what_is_noticed_on_the_validation_set_must_hold_on_new_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    c, asked = easily_solved(), []
    real = type(c.task).confirmation

    def confirmation(self: Task, attempt: int) -> list[Batch]:
        asked.append(attempt)
        *others, last = real(self, attempt)
        # The last part is far from what any network says, until the fourth time.
        return [*others, replace(last, targets=last.targets + 100 * (attempt < 3))]

    monkeypatch.setattr(type(c.task), "confirmation", confirmation)
    monkeypatch.setattr(type(c.task), "test", lambda self: pytest.fail("the test set was read"))
    records = run(c)
    done = result(records)
    assert asked == [0, 1, 2, 3]
    assert (done.outcome, done.steps) == ("solved", 15)
    told = [r.values["confirmation/met"] for r in evaluations(records)]
    assert told == [0, 0, 0, 1]
    assert done.best["loss"] == evaluations(records)[-1].values["validation/loss"]


def test_what_solved_its_task_is_tested_on_longer_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.BEYOND_SEQUENCES", 40)
    c = config()
    monkeypatch.setattr(type(c.task), "solved", lambda self, scores: scores["loss"] < 10)
    done = result(run(c, test=True))
    assert list(done.beyond) == ["1.5", "2", "4", "10"]
    records = list(train(c, test=True))
    (trained,) = (r for r in records if isinstance(r, Trained))
    model = build_model(c)
    model.load_state_dict(trained.parameters)
    for factor, scores in done.beyond.items():
        longer = c.task.model_copy(update={"length": round(6 * float(factor))})
        drawn = longer.held_out("test", generator("test", 0), 40)  # type: ignore[attr-defined]
        expected = evaluate(model, longer, drawn)
        assert scores == {**expected, "criterion_met": float(longer.solved(expected))}
    assert result(run(c)).beyond == {}
    monkeypatch.setattr(type(c.task), "solved", lambda self, scores: False)
    assert result(run(c, test=True)).beyond == {}


def of_task(name: str, **changes: object) -> TrialConfig:
    tiny = {k: v for k, v in TINY.items() if not k.startswith("task.")}
    settings = {k.replace("__", "."): v for k, v in changes.items()}
    return TrialConfig.from_flat({**tiny, "task.name": name, **settings})


def on_digits(solved_at: float, **changes: object) -> TrialConfig:
    """Three validations; the accuracy is above .1 after each."""
    c = of_task(
        "digits",
        train__steps=30,
        train__evaluate_every=10,
        train__lr=0.05,
        model__hidden=12,
        **changes,
    )
    return c.model_copy(update={"task": c.task.model_copy(update={"solved_at": solved_at})})


@pytest.mark.parametrize("test", [False, True])
def test_of_a_data_set_all_updates_are_used_and_the_best_validated_parameters_judged(
    test: bool,
) -> None:
    records = run(on_digits(0.0), test=test)
    done = result(records)
    assert (done.outcome, done.steps) == ("solved", 30)
    losses = {r.step: r.values["validation/loss"] for r in evaluations(records)}
    assert done.best_step == min(losses, key=losses.__getitem__)
    assert done.best["loss"] == min(losses.values())
    assert done.score == done.best["loss"] / on_digits(0.0).task.chance_loss
    assert not any("confirmation/met" in r.values for r in evaluations(records))


def test_of_a_data_set_the_test_set_says_whether_it_is_solved() -> None:
    measured = result(run(on_digits(0.0), test=True))
    on_validation, on_test = measured.best["accuracy"], measured.test["accuracy"]
    assert on_validation != on_test
    between = (on_validation + on_test) / 2
    higher_on_test = on_test > between
    for test, met in ((True, higher_on_test), (False, not higher_on_test)):
        done = result(run(on_digits(between), test=test))
        assert (done.outcome == "solved") == met
    assert measured.test["criterion_met"] == 1


def test_a_task_learned_by_heart_ends_when_it_is_known() -> None:
    done = result(run(of_task("hello", train__steps=400, train__lr=0.05, model__hidden=16)))
    assert done.outcome == "solved"
    assert done.steps < 400


def test_patience_ends_a_training_that_gets_no_better() -> None:
    c = config(train__lr=1e-12, train__steps=50, train__evaluate_every=5, train__patience=3)
    done = result(run(c))
    # Such a rate changes a loss by rounding at most, so that it may be lower once or twice.
    assert done.outcome == "budget"
    assert done.steps < 50
    looks = Patience(2, math.nan)
    for loss, is_over in ((3, False), (4, False), (2, False), (math.nan, False), (2, True)):
        looks.look(loss)
        assert looks.is_over == is_over
    never = Patience(0, 1.0)
    never.look(2.0)
    assert not never.is_over


@pytest.mark.parametrize("name", [name for name, cls in TASKS.items() if not cls.needs_files])
def test_every_test_result_says_whether_it_meets_the_criterion(name: str) -> None:
    small = {"task.length": 12} if "length" in TASKS[name].model_fields else {}
    small |= {"task.tested": 50} if "tested" in TASKS[name].model_fields else {}
    c = TrialConfig.from_flat({"task.name": name, "model.hidden": 3, "train.steps": 1, **small})
    test = result(run(c, test=True)).test
    assert test["criterion_met"] == c.task.solved(test)


@pytest.mark.parametrize("at", [0, 5, 15])
def test_a_caller_prunes_with_send(at: int) -> None:
    trial = train(config())
    records: list[Record] = [next(trial)]
    while not isinstance(records[-1], Result):
        last = records[-1]
        stop = isinstance(last, Evaluation) and last.step >= at
        records.append(trial.send(stop) if isinstance(last, Evaluation) else next(trial))
    done = records[-1]
    assert isinstance(done, Result)
    assert (done.outcome, done.steps) == ("pruned", at)
    assert [r.step for r in evaluations(records)][-1] == at
    probes = [(r.stage, r.step) for r in records if isinstance(r, Probed)]
    assert ("final", at) in probes
    assert ("training", at) not in probes, "the end is measured once"


def test_a_caller_may_stop_listening() -> None:
    trial = train(config())
    next(trial)
    next(trial)
    trial.close()
    with pytest.raises(StopIteration):
        next(trial)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_against_a_loop_by_hand(momentum: float) -> None:
    c = config(
        train__optimizer="sgd",
        train__momentum=momentum,
        train__lr=0.1,
        train__steps=4,
        train__evaluate_every=1,
        clip="norm",
        clip__threshold=0.05,
    )
    model = build_model(c)
    parameters = list(model.parameters())
    velocity = [torch.zeros_like(p) for p in parameters]
    stream = c.task.training(c.seed, 8)
    expected = []
    for _ in range(4):
        batch = next(stream)
        loss = c.task.loss(model(batch), batch.targets)
        gradients = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
        scale = min(1.0, 0.05 / norm)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocity, gradients, strict=True):
                v.mul_(momentum).add_(g * scale)
                p.sub_(0.1 * v)
        expected.append((loss.item(), norm, evaluate(model, c.task, c.task.validation())["loss"]))
    found = [
        (e.values["train/loss"], e.values["train/grad_norm"], e.values["validation/loss"])
        for e in evaluations(run(c))[1:]
    ]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-5)  # float32


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("alpha", [0.9, 0.5])
def test_rmsprop_against_a_loop_by_hand(alpha: float, momentum: float) -> None:
    # Tieleman & Hinton (2012): g over the root of a running mean of g²; torch adds 1e-8 to the root.
    c = config(
        train__optimizer="rmsprop",
        train__alpha=alpha,
        train__momentum=momentum,
        train__lr=0.01,
        train__steps=4,
        train__evaluate_every=1,
        clip="none",
    )
    model = build_model(c)
    parameters = list(model.parameters())
    squares = [torch.zeros_like(p) for p in parameters]
    velocity = [torch.zeros_like(p) for p in parameters]
    stream = c.task.training(c.seed, 8)
    expected = []
    for _ in range(4):
        batch = next(stream)
        loss = c.task.loss(model(batch), batch.targets)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, s, v, g in zip(parameters, squares, velocity, gradients, strict=True):
                s.mul_(alpha).add_((1 - alpha) * g * g)
                v.mul_(momentum).add_(g / (s.sqrt() + 1e-8))
                p.sub_(0.01 * v)
        expected.append((loss.item(), evaluate(model, c.task, c.task.validation())["loss"]))
    found = [(e.values["train/loss"], e.values["validation/loss"]) for e in evaluations(run(c))[1:]]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4)  # float32, divided by small roots


@pytest.mark.parametrize("clip", [*CLIPPING])
def test_telemetry_of_every_rule_is_finite_and_within_its_bounds(clip: str) -> None:
    records = run(config(clip=clip, train__evaluate_every=4))
    windows = [e.values for e in evaluations(records)[1:]]
    assert len(windows) == 5
    for values in windows:
        assert 0 < values["train/grad_norm_after"] <= values["train/grad_norm"] < math.inf
        assert 0 <= values["train/clipped_share"] <= 1
        assert ("train/grad_cosine" in values) == (clip != "signal")
        assert ("train/limited_share" in values) == (clip == "signal")
        assert 0 < values.get("train/grad_cosine", 1.0) <= 1
        if clip in ("none", "norm", "percentile", "skip"):
            assert values["train/grad_cosine"] == 1
        if values["train/clipped_share"] == 0:
            assert values["train/grad_norm_after"] == values["train/grad_norm"]
    shares = [values["train/clipped_share"] for values in windows]
    assert result(records).clip_rate == pytest.approx(sum(shares) / 5)
    assert result(records).skipped_steps == 0


def test_a_strict_rule_shrinks_and_turns_the_gradient() -> None:
    records = run(config(clip="adaptive", clip__ratio=0.001))
    for values in (e.values for e in evaluations(records)[1:]):
        assert values["train/clipped_share"] == 1
        assert values["train/grad_norm_after"] < 0.5 * values["train/grad_norm"]
        assert values["train/grad_cosine"] < 0.99


def test_signal_clipping_limits_the_signal_and_says_how_much() -> None:
    # The gradient of one step, against the layer's own backward pass with that limit.
    limit = 1e-4
    c = config(clip="signal", clip__limit=limit, train__steps=1, train__optimizer="sgd")
    model, batch = build_model(c), next(c.task.training(c.seed, 8))
    outputs, _ = model.layer(batch.inputs, limit=limit)
    c.task.loss(model.readout(outputs[-1:]), batch.targets).backward()
    norm = math.sqrt(sum(float(p.grad.double().square().sum()) for p in model.parameters()))
    records = run(c)
    values = evaluations(records)[1].values
    assert values["train/grad_norm"] == pytest.approx(norm, rel=1e-6)
    assert 0 < values["train/limited_share"] < 1
    assert values["train/clipped_share"] == result(records).clip_rate == 1
    free = evaluations(run(config(clip="none", train__steps=1, train__optimizer="sgd")))[1].values
    assert free["train/grad_norm"] > 1.01 * norm
    loose = run(config(clip="signal", clip__limit=1e6))
    assert result(loose).clip_rate == 0
    assert result(loose).final == result(run(config(clip="none"))).final


def spoiled(monkeypatch: pytest.MonkeyPatch, c: TrialConfig, steps: set[int]) -> None:
    """The loss of these training steps, counted from 1, is infinite, and so are its gradients."""
    real = type(c.task).loss
    calls = []

    def loss(self: Task, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        value = real(self, predictions, targets)
        if predictions.requires_grad and predictions.dtype == torch.float32:  # not the probe
            calls.append(1)
            if len(calls) in steps:
                return value * math.inf
        return value

    monkeypatch.setattr(type(c.task), "loss", loss)


def test_skipped_steps_are_counted_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    c = config(clip="skip", clip__patience=3, train__steps=12, train__evaluate_every=3)
    clean = run(c)
    spoiled(monkeypatch, c, {2, 7, 8, 9})
    records = run(c)
    done = result(records)
    assert (done.outcome, done.steps, done.skipped_steps, done.clip_rate) == ("budget", 12, 4, 0)
    windows = {e.step: e.values for e in evaluations(records)}
    assert math.isfinite(windows[3]["train/loss"])
    assert not any(name.startswith("train/") for name in windows[9]), "all three were skipped"
    assert windows[9]["validation/loss"] == windows[6]["validation/loss"]
    assert windows[12]["validation/loss"] != windows[9]["validation/loss"]
    assert result(clean).skipped_steps == 0
    assert result(clean).final != done.final


@pytest.mark.parametrize(("clip", "steps", "skipped"), [("skip", 7 + 11, 10), ("norm", 8, 0)])
def test_a_trial_that_can_only_skip_has_diverged(
    monkeypatch: pytest.MonkeyPatch, clip: str, steps: int, skipped: int
) -> None:
    c = config(clip=clip)
    spoiled(monkeypatch, c, set(range(8, 100)))
    done = result(run(c))
    assert (done.outcome, done.steps, done.skipped_steps) == ("diverged", steps, skipped)


def test_clip_rate_is_the_share_of_updates_that_were_clipped() -> None:
    assert result(run(config(clip__threshold=1e-9))).clip_rate == 1
    assert result(run(config(clip__threshold=1e9))).clip_rate == 0
    records = run(config(clip__threshold=0.5, train__evaluate_every=1))
    shares = [e.values["train/clipped_share"] for e in evaluations(records)[1:]]
    assert result(records).clip_rate == pytest.approx(sum(shares) / len(shares))
    norms = [e.values["train/grad_norm"] for e in evaluations(records)[1:]]
    assert [bool(s) for s in shares] == [n > 0.5 for n in norms]


def test_a_batch_larger_than_the_data_set() -> None:
    c = TrialConfig.from_flat(
        {"task.name": "digits", "model.hidden": 2, "train.batch": 5000, "train.steps": 2}
    )
    assert result(run(c)).steps == 2


def test_evaluation_in_chunks_is_the_whole_batchs_score() -> None:
    for name in [name for name, cls in TASKS.items() if not cls.needs_files]:
        small = {"task.length": 12} if "length" in TASKS[name].model_fields else {}
        c = TrialConfig.from_flat({"task.name": name, "model.hidden": 3, **small})
        # 500 a chunk, and a rest
        model, batch = build_model(c), next(c.task.training(0, 1100))
        with torch.no_grad():
            whole = c.task.scores(model(batch), batch.targets)
        found = evaluate(model, c.task, batch)
        assert found.keys() == whole.keys()
        for key, value in whole.items():
            assert found[key] == pytest.approx(value, rel=1e-5)


def test_the_models_start_does_not_depend_on_training_data_or_task_length() -> None:
    one, other = build_model(config()), build_model(config(task__length=60, train__batch=3))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(build_model(config(seed=1)).parameters()), next(one.parameters()))


def test_initial_parameters_are_not_the_training_data() -> None:
    # Two streams from one seed would correlate weights with data.
    a = torch.rand(100, generator=generator("initialization", 0))
    b = torch.rand(100, generator=generator("training", 0))
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.4  # 4 standard errors


def scores_to_order() -> Iterator[tuple[float, float]]:
    """Pairs (better, worse)."""
    sooner = score("solved", 0.1, 0.001, 1.0)
    later = score("solved", 1.0, 0.0001, 1.0)
    good = score("budget", 1.0, 0.2, 1.0)
    poor = score("budget", 1.0, 0.9, 1.0)
    awful = score("budget", 1.0, 1e9, 1.0)
    diverged = score("diverged", 0.03, 0.1, 1.0)
    yield from [(sooner, later), (later, good), (good, poor), (poor, diverged)]
    assert awful <= diverged


def test_solving_beats_a_low_loss_and_sooner_beats_later() -> None:
    for better, worse in scores_to_order():
        assert better < worse
