"""Training one trial: a generator of records. It knows neither Optuna nor MLflow."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import nn

from study.base.seeding import generator
from study.clipping import Clipped
from study.clipping.telemetry import curves
from study.engines.denormals import flushed
from study.engines.recording import Limit, StateGradients, share
from study.networks.attention import Attended
from study.networks.decoding import beam
from study.networks.model import Model
from study.tasks.base import Batch, Task
from study.tasks.generating import GeneratingTask
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.divergence import Divergence
from study.trial.guessing import guesses
from study.trial.operations import per_update
from study.trial.patience import Patience
from study.trial.probing import Probing
from study.trial.records import Evaluation, Outcome, Record, Result, Trained
from study.trial.sections import TrainConfig

EVALUATION_CHUNK = 500  # sequences at once, to bound memory
MOST_WEIGHTS = 20_000_000

DIVERGED_SCORE = 10.0
MET = "criterion_met"
LONGER = (1.5, 2, 4, 10)  # times the trained length


@dataclass(frozen=True)
class Update:
    """One step: the training loss before it and what clipping did.

    ``omega`` where there is a regularizer; ``limited``, the share of the back-propagated signal that
    was limited, where the rule is of that kind: then it has acted when that is above 0.
    """

    loss: float
    clip: Clipped | None  # None of a guess, which has no gradient
    omega: float | None
    limited: float | None
    found: bool = False  # a guess that solves the training sample, to be validated at once


def score(outcome: Outcome, spent: float, best_loss: float, chance_loss: float) -> float:
    """What a search minimizes: first that a trial solves its task, then how soon, else its loss.

    ``spent`` is the share of the budget that was used: of its updates or seconds, whichever is larger. A
    trial that ended because it had solved its task scores spent - 1, in [-1, 0]; any other its
    best validation loss over chance, at least 0; a diverged one 10.
    """
    if outcome == "diverged":
        return DIVERGED_SCORE
    if outcome == "solved":
        return spent - 1
    relative = best_loss / chance_loss
    return relative if relative < DIVERGED_SCORE else DIVERGED_SCORE  # also of NaN


def updates_within(settings: TrainConfig, operations: int) -> int:
    """The budget in updates, of which each takes so many operations; one at least."""
    if not settings.operations or not operations:
        return settings.steps
    return max(1, min(settings.steps, int(settings.operations // operations)))


def train(
    config: TrialConfig, *, test: bool = False, dear: bool = False
) -> Generator[Record, bool | None, None]:
    """Trains, yielding records; the last is the `Result`, others come as they are known.

    ``.send(True)`` in answer to an `Evaluation` prunes the trial. With ``test`` the parameters
    that solved the task, or else those of the best validation loss, are scored on the test set, once.
    Of a data set training goes on to the end of its updates, and whether it solved the task the test set
    says; without ``test``, the validation set.
    With ``dear`` the default probes are the dear ones too.
    Updates and evaluations read denormal numbers as zero (`study.engines.denormals`); the probes do not, and
    between two records the caller's thread is as it was.
    """
    began = time.perf_counter()
    task, settings = config.task, config.train
    model = build_model(config)
    validation = task.validation()
    operations = per_update(config, model, validation)
    budget = updates_within(settings, operations)
    probing = Probing(config, validation, dear=dear)
    yield from probing.at("init", 0, model)

    scores = evaluate(model, task, validation)
    best, best_step, best_parameters = scores, 0, deepcopy(model.state_dict())
    patience = Patience(settings.patience, scores["loss"])
    noticed = 0  # how often the criterion was met on the validation set
    values: dict[str, float] = {}
    outcome: Outcome | None = None
    if task.ends_when_solved and task.solved(scores):
        confirmed, noticed = _confirmed(model, task, noticed), noticed + 1
        values = {"confirmation/met": float(confirmed)}
        outcome = "solved" if confirmed else None
    divergence = Divergence(task.chance_loss)
    step, clipped, skipped, training_seconds = 0, 0, 0, 0.0
    stop = yield Evaluation(0, values | _named("validation", scores))
    loop = (_guesses if settings.optimizer == "guess" else _updates)(model, config)
    while outcome is None:
        if stop:
            outcome = "pruned"
            break
        if step >= budget or patience.is_over or 0 < settings.seconds <= training_seconds:
            outcome = "budget"
            break
        started = time.process_time()
        most = min(settings.evaluate_every, budget - step)
        window, is_lost = _window(loop, divergence, most)
        step += len(window)
        training_seconds += time.process_time() - started
        clipped += sum(update.clip.acted for update in window if update.clip)
        skipped += sum(update.clip.skipped for update in window if update.clip)
        values = _training_curves(window)
        if is_lost:
            outcome = "diverged"
            yield Evaluation(step, values)
            break
        # Between two updates it may be in a spike, and not finite: then it is no best, and goes on.
        scores = evaluate(model, task, validation)
        if scores["loss"] < best["loss"] or math.isnan(best["loss"]):
            best, best_step, best_parameters = scores, step, deepcopy(model.state_dict())
        patience.look(scores["loss"])
        if task.ends_when_solved and task.solved(scores):
            confirmed, noticed = _confirmed(model, task, noticed), noticed + 1
            values["confirmation/met"] = float(confirmed)
            if confirmed:
                # What solved the task is what is tested, though an earlier loss may have been lower.
                outcome, best, best_step = "solved", scores, step
                best_parameters = deepcopy(model.state_dict())
        stop = yield Evaluation(step, values | _named("validation", scores))
        if outcome is None and not stop and step < budget:
            yield from probing.within(step, model)
    yield from probing.at("final", step, model)

    model.load_state_dict(best_parameters)
    yield Trained(best_parameters)
    if outcome != "diverged":
        yield from probing.at("best", best_step, model)
    tested: dict[str, float] = {}
    if test:
        tested = evaluate(model, task, task.test(), config.decoder.beam)
        tested[MET] = float(task.solved(tested))
    longer = _beyond(model, task) if test and outcome == "solved" else {}
    spent = training_seconds / settings.seconds if settings.seconds else 0.0
    share = min(1.0, max(step / budget, spent))
    reached = score(outcome, share, best["loss"], task.chance_loss)
    if outcome == "budget" and not task.ends_when_solved:
        outcome = "solved" if task.solved(tested or best) else outcome
    yield Result(
        outcome=outcome,
        score=reached,
        steps=step,
        best_step=best_step,
        best=best,
        final=scores,
        parameters=model.parameter_count(),
        clip_rate=clipped / max(step, 1),
        skipped_steps=skipped,
        wall_seconds=time.perf_counter() - began,
        seconds_per_step=training_seconds / max(step, 1),
        budget=budget,
        operations=operations,
        test=tested,
        beyond=longer,
    )


def train_until(
    config: TrialConfig, stop: Callable[[], bool], *, test: bool, dear: bool = False
) -> Iterator[Record]:
    """The records of `train`; after each `Evaluation` ``stop`` is asked whether to end there."""
    records = train(config, test=test, dear=dear)
    record = next(records)
    while not isinstance(record, Result):
        yield record
        record = records.send(isinstance(record, Evaluation) and stop())
    yield record


def _beyond(model: Model, task: Task) -> dict[str, dict[str, float]]:
    """The scores on longer sequences than were trained, and under MET whether they meet the criterion."""
    found: dict[str, dict[str, float]] = {}
    for factor in LONGER:
        if (longer := task.beyond(factor)) is not None:
            scores = evaluate(model, *longer)
            found[f"{factor:g}"] = {**scores, MET: float(longer[0].solved(scores))}
    return found


def _confirmed(model: Model, task: Task, attempt: int) -> bool:
    """Whether the criterion holds on sequences that the validation's many looks had no part in."""
    return all(task.solved(evaluate(model, task, b)) for b in task.confirmation(attempt))


@flushed()
def evaluate(model: Model, task: Task, batch: Batch, width: int = 1) -> dict[str, float]:
    """The task's scores over the batch, computed in chunks of equal weight a sequence.

    Where an answer is written, with a ``width`` above 1 also "beam_exact": the share of sequences
    that beam search answers as wanted.
    """
    totals: dict[str, float] = {}
    # Attention has a weight for every step written and read.
    weights = task.steps * task.answer_steps * width if model.looks else 1
    chunk = max(1, min(EVALUATION_CHUNK, MOST_WEIGHTS // weights))
    with torch.no_grad():
        for rows in torch.arange(len(batch)).split(chunk):
            part = batch.take(rows)
            scores = task.scores(model(part), part.targets)
            if isinstance(task, GeneratingTask) and width > 1:
                found, _ = beam(model, part, len(part.targets), width, task.end)
                scores["beam_exact"] = float((found == part.targets).all(0).double().mean())
            for name, value in scores.items():
                totals[name] = totals.get(name, 0.0) + value * len(rows)
    return {name: total / len(batch) for name, total in totals.items()}


@flushed()
def _window(loop: Iterator[Update], divergence: Divergence, most: int) -> tuple[list[Update], bool]:
    """The next updates, up to one that diverges or a guess that is to be validated at once; and
    whether the last one diverged."""
    made: list[Update] = []
    for update in islice(loop, most):
        made.append(update)
        if divergence.diverged(update.loss, update.clip):
            return made, True
        if update.found:
            break
    return made, False


def _updates(model: Model, config: TrialConfig) -> Iterator[Update]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = _optimizer(parameters, config.train)
    clip = config.clip.start()
    draws, noise = generator("credit", config.seed), generator("input noise", config.seed)
    chances = generator("writing", config.seed)
    for batch in config.task.training(config.seed, config.train.batch):
        optimizer.zero_grad(set_to_none=True)
        recorders = {model.top: StateGradients()} if config.regularizer.needs_recorder else None
        attended = Attended()
        bound = config.clip.signal_limit
        limits = [] if bound is None else [Limit(bound) for _ in model.layers]
        batch = _with_noise(batch, config.train.input_noise, noise)
        predictions = model(
            batch,
            recorders=recorders,
            limits=limits,
            credit=config.credit,
            generator=draws,
            draws=chances,
            attended=attended,
        )
        loss = config.task.loss(predictions, batch.targets)
        policy = model.policy_loss(attended, predictions, batch.targets)
        (loss if policy is None else loss + policy).backward()
        omega = None
        if recorders is not None:
            shown = model.shown(batch.inputs).detach()
            omega = config.regularizer.add(model.top, shown, recorders[model.top])
        reached = [p for p in parameters if p.grad is not None]
        clipped = clip([p.grad for p in reached if p.grad is not None], reached)
        limited = share(limits) if limits else None
        if limited is not None:
            clipped = replace(clipped, acted=limited > 0)
        if not clipped.skipped:
            optimizer.step()
            model.settle(attended)
        yield Update(loss.item(), clipped, omega, limited)


def _guesses(model: Model, config: TrialConfig) -> Iterator[Update]:
    sample = next(config.task.training(config.seed, config.train.batch))
    draws = generator("initialization", config.seed, "guesses")
    for guess in guesses(model, config.task, sample, config.train.guess_range, draws):
        yield Update(guess.loss, clip=None, omega=None, limited=None, found=guess.solves)


def _with_noise(batch: Batch, std: float, noise: torch.Generator) -> Batch:
    if std == 0:
        return batch
    drawn = torch.randn(batch.inputs.shape, generator=noise, dtype=batch.inputs.dtype)
    return replace(batch, inputs=batch.inputs + std * drawn)


def _optimizer(parameters: list[nn.Parameter], settings: TrainConfig) -> torch.optim.Optimizer:
    lr, momentum = settings.lr, settings.momentum
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=lr, momentum=momentum)
        case "nesterov":  # Greff et al. (2017): a momentum that does not change the step's size
            size = lr * (1 - momentum)
            return torch.optim.SGD(parameters, lr=size, momentum=momentum, nesterov=momentum > 0)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=lr, alpha=settings.alpha, momentum=momentum)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr)
        case "guess":
            raise AssertionError("guessing makes no updates")


def _training_curves(window: list[Update]) -> dict[str, float]:
    """Means over the steps that were made; no numbers when all were skipped."""
    made = [update for update in window if not (update.clip and update.clip.skipped)]
    means = {
        "train/loss": [update.loss for update in made],
        "train/omega": [update.omega for update in made if update.omega is not None],
        "train/limited_share": [update.limited for update in made if update.limited is not None],
    }
    values = {name: sum(each) / len(each) for name, each in means.items() if each}
    return values | curves([update.clip for update in window if update.clip])


def _named(split: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in scores.items()}
