"""What the tests of tasks with an answer of its own share: texts, levels counted, alignments."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Generator

from study.tasks import TASKS
from study.tasks.base import NO_TARGET, Batch, SyntheticTask
from study.tasks.generating import GeneratingTask


def named(name: str, **parameters: object) -> GeneratingTask:
    task = TASKS.build({"name": name, **parameters})
    assert isinstance(task, GeneratingTask)
    return task


def drawn(task: GeneratingTask, n: int = 2000, seed: int = 1) -> Batch:
    assert isinstance(task, SyntheticTask)
    return task.sample(Generator().manual_seed(seed), n)


def read(task: GeneratingTask, batch: Batch) -> list[str]:
    """The inputs' characters."""
    assert task.alphabet is not None
    ends = [task.steps - 1] * len(batch) if batch.ends is None else batch.ends.tolist()
    symbols = batch.inputs.argmax(-1).T.tolist()
    return [
        "".join(task.alphabet[s] for s in row[: end + 1])
        for row, end in zip(symbols, ends, strict=True)
    ]


def answered(task: GeneratingTask, batch: Batch) -> list[list[str]]:
    """The names of the answers' symbols; nothing may follow where nothing is asked."""
    assert task.answers is not None
    found = []
    for row in batch.targets.T.tolist():
        length = row.index(NO_TARGET) if NO_TARGET in row else len(row)
        assert set(row[length:]) <= {NO_TARGET}
        found.append([task.answers[symbol] for symbol in row[:length]])
    return found


def step_level(answers: Sequence[Sequence[object]], weights: Sequence[float]) -> float:
    """Loss of the best prediction from the step alone, with a dictionary for each step."""
    counts: dict[int, Counter[object]] = defaultdict(Counter)
    for answer, weight in zip(answers, weights, strict=True):
        for step, symbol in enumerate(answer):
            counts[step][symbol] += weight / len(answer)  # type: ignore[assignment]
    total = sum(weights)
    return sum(
        -w / total * math.log(w / sum(at_step.values()))
        for at_step in counts.values()
        for w in at_step.values()
    )


def prefix_level(answers: Sequence[Sequence[str]], weights: Sequence[float]) -> float:
    """Loss of the best prediction from what was written before, with a dictionary of beginnings."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for answer, weight in zip(answers, weights, strict=True):
        for step, symbol in enumerate(answer):
            counts[tuple(answer[:step])][symbol] += weight / len(answer)  # type: ignore[assignment]
    total = sum(weights)
    return sum(
        -w / total * math.log(w / sum(following.values()))
        for following in counts.values()
        for w in following.values()
    )


def aligned_lags(task: GeneratingTask, batch: Batch) -> set[int]:
    """From a symbol's step in the input, over the rest of it, to its step in the answer."""
    hung = task.alignment(batch)
    assert hung is not None
    length = torch.full((len(batch),), task.steps) if batch.ends is None else batch.ends + 1
    lags = length + torch.arange(len(hung))[:, None] - hung
    return set(lags[hung >= 0].tolist())
