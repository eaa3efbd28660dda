"""What a task's criterion must be out of reach of: answers that take no memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from study.base.threads import one_thread
from study.tasks.base import Batch, SyntheticTask, Task
from study.tasks.forecasting import few
from study.tasks.partition import MOST

SEQUENCES = 4_000  # of training that a readout is fitted to …
NUMBERS = 1_000_000  # … or as many as have so many features
ITERATIONS = 40  # of L-BFGS
RIDGE = 0.01  # times features over rows, of the squared weights of standardized features
ROUNDING = 1e-9  # of the largest variance: a direction of less is one of rounding
MOST_SQUARED = 24  # features of which the products of two are features as well
LOOKED_UP = 32_000  # training sequences among which the nearest is looked for: 1,000 mini-batches …
LOOKED_UP_NUMBERS = 10_000_000  # … or as many as have so many numbers
SURE = 20.0  # output of a class that is taken for certain


@dataclass(frozen=True)
class Baseline:
    """Scores on the validation part of an answer that takes no memory."""

    name: str
    scores: Mapping[str, float]
    meets: bool  # the task's criterion


@one_thread()
def baselines(task: Task) -> list[Baseline]:
    """Each is fitted to training sequences of seed 0 by the task's own loss.

    A linear readout of the last `few` inputs, and of few numbers their products too; the same of
    the sum of all inputs so far and their number, which of symbols is a count of each; where different
    sequences are few, the answer to the nearest training sequence; and a readout of what tells a part
    of the answer, as the task says (`Task.partly`). A readout may know the step, but for a task
    that is learned by heart. Of a written sequence each symbol has a readout of its own, which sees the
    one before it too. Nothing is fitted for a task that reads the state itself: nothing stands after it.
    """
    if task.reads_state:
        return []
    parts: dict[str, Callable[[Batch], Tensor]] = {
        f"linear in {_last_inputs(task)}": lambda batch: _window(task, batch),
        f"linear in the sum of the inputs{'' if task.symbolic else ', and quadratic'}": lambda b: (
            _sum(task, b)
        ),
    }
    if not task.symbolic and few(task.steps) * task.input_size <= MOST_SQUARED:
        del parts[f"linear in {_last_inputs(task)}"]
        parts[f"quadratic in {_last_inputs(task)}"] = lambda batch: _window(task, batch)
    for name in task.partly(task.validation().take(slice(1))):
        parts[name] = lambda batch, name=name: task.partly(batch)[name]  # type: ignore[misc]
    found = [_baseline(task, name, _readout(task, seen)) for name, seen in parts.items()]
    if isinstance(task, SyntheticTask) and not task.memorized and task.variety <= MOST:
        found.append(_baseline(task, "the nearest training sequence's answer", _nearest(task)))
    return found


def _baseline(task: Task, name: str, answer: tuple[Tensor, Batch]) -> Baseline:
    predictions, batch = answer
    scores = task.scores(predictions, batch.targets)
    return Baseline(name, scores, task.solved(scores))


def _last_inputs(task: Task) -> str:
    width = few(task.steps)
    return f"the last {width} inputs" if width > 1 else "the last input"


def _steps_read(task: Task, batch: Batch) -> Tensor:
    """(S,B): the last step seen by each prediction; S is 1 of a sequence that is written."""
    steps = len(batch.inputs)
    if task.reads == "every":
        return torch.arange(steps)[:, None].expand(-1, len(batch))
    if batch.ends is None:
        return torch.full((1, len(batch)), steps - 1)
    return batch.ends[None]


def _window(task: Task, batch: Batch) -> Tensor:
    """(S,B,K·I): the last K inputs, zeros before the first step."""
    width, last = few(task.steps), _steps_read(task, batch)
    padded = functional.pad(batch.inputs, (0, 0, 0, 0, width - 1, 0))
    rows = torch.arange(len(batch))
    return torch.cat([padded[last + width - 1 - back, rows] for back in range(width)], dim=-1)


def _sum(task: Task, batch: Batch) -> Tensor:
    """(S,B,I+1): the sum of the inputs up to there, and how many they are."""
    last = _steps_read(task, batch)
    total = batch.inputs.double().cumsum(0)[last, torch.arange(len(batch))].float()
    return torch.cat([total, (last + 1)[..., None].float()], dim=-1)


def _fitting(task: Task, sequences: int) -> Batch:
    """Training sequences of seed 0."""
    size = min(sequences, 500)
    batches = islice(task.training(0, size), max(1, sequences // size))
    return Batch.joined(list(batches))


def _readout(task: Task, seen: Callable[[Batch], Tensor]) -> tuple[Tensor, Batch]:
    """Predictions for validation sequences by a linear readout of what is seen of them."""
    example = _features(task, seen, task.validation().take(slice(1)))
    fit = max(20, NUMBERS // example.numel())
    training = _fitting(task, min(SEQUENCES, fit))
    validation = task.validation().take(slice(min(1_000, fit)))
    shown = _features(task, seen, training)
    whiten = _whitening(shown, task.symbolic)
    features = whiten(shown).float()
    steps, count = len(training.targets), features.shape[-1]
    own = steps if task.reads == "generated" else 1  # readouts
    weight = torch.zeros(own, count, task.output_size, requires_grad=True)
    known = 1 if task.memorized else steps
    offset = torch.zeros(known, 1, task.output_size, requires_grad=True)
    targets = training.targets
    ridge = RIDGE * count**2 / max(features.numel(), 1)  # 0 of a sum that never changes

    search = torch.optim.LBFGS(
        [weight, offset], max_iter=ITERATIONS, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        loss = task.loss(features @ weight + offset, targets) + ridge * weight.square().sum()
        loss.backward()
        return loss

    search.step(closure)  # type: ignore[arg-type, unused-ignore]
    with torch.no_grad():
        of = whiten(_features(task, seen, validation)) @ weight.double()
        # A part may have longer sequences than training has: their last steps are as its last one.
        step = torch.arange(len(of)).clamp(max=known - 1)
        return of + offset[step], validation.to(torch.float64)


def _whitening(features: Tensor, symbolic: bool) -> Callable[[Tensor], Tensor]:
    """Makes features (S,B,F) of variance 1, and uncorrelated where they are products of numbers."""
    rows = features.flatten(0, 1).double()
    mean = rows.mean(0)
    if symbolic:
        std = rows.std(0, correction=0)
        std[std == 0] = 1
        return lambda of: (of.double() - mean) / std
    values, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    kept = values > ROUNDING * values[-1]
    turn = directions[:, kept] / values[kept].sqrt()
    return lambda of: (of.double() - mean) @ turn


def _features(task: Task, seen: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """(S,B,F): what is seen, products of two, and in a written sequence the symbol before."""
    found = seen(batch)
    if not task.symbolic and found.shape[-1] <= MOST_SQUARED:
        first, second = torch.triu_indices(found.shape[-1], found.shape[-1])
        found = torch.cat([found, found[..., first] * found[..., second]], dim=-1)
    if task.reads != "generated":
        return found
    before = functional.one_hot(batch.targets[:-1].clamp(min=0), task.output_size).float()
    before = functional.pad(before, (0, 0, 0, 0, 1, 0))
    return torch.cat([found.expand(len(before), -1, -1), before], dim=-1)


def _nearest(task: SyntheticTask) -> tuple[Tensor, Batch]:
    """The answer to the training sequence that differs least, in the sum over all inputs."""
    each = task.steps * task.input_size
    known = _fitting(task, max(500, min(LOOKED_UP, LOOKED_UP_NUMBERS // each)))
    validation = task.validation().take(slice(500))
    asked, shown = (task.content(b).transpose(0, 1).flatten(1) for b in (validation, known))
    nearest = torch.cdist(asked, shown).argmin(1)
    answers = known.targets[:, nearest]
    if answers.is_floating_point():
        return answers, validation
    chosen = functional.one_hot(answers.clamp(min=0), task.output_size).float()
    return SURE * chosen, validation
