"""What holds for every task whose answer is a sequence of its own."""

import math

import pytest
import torch
from answers import drawn, named, prefix_level

from study.tasks.base import NO_TARGET
from study.tasks.generating import GeneratingTask, prefix_chance


def test_prefix_chance_is_that_of_a_dictionary_of_beginnings() -> None:
    answers = ["ab.", "aab.", "b.", "bba.", "."]
    weights = [0.1, 0.3, 0.2, 0.15, 0.25]
    each = torch.tensor(
        [w / len(a) for a, w in zip(answers, weights, strict=True)], dtype=torch.float64
    )
    found = prefix_chance(each, torch.ones(5))
    assert found == pytest.approx(prefix_level(answers, weights), rel=1e-12)
    twice = prefix_chance(torch.tensor([0.25]), torch.tensor([2.0]))  # two answers of two symbols
    assert twice == pytest.approx(math.log(2) / 2)


ALIGNED = [
    named("transduction"),
    named("transduction", kind="copy", variable=True),
    named("transduction", kind="bigram-flipping", variable=True, length=16),
    named("number-words"),
    named("number-words", unit="character", digits=6),
    named("date-formats"),
    named("date-formats", formats="one"),
]


@pytest.mark.parametrize("task", ALIGNED, ids=lambda task: f"{task.name}-{task.lag}")
def test_an_alignment_points_into_what_was_read(task: GeneratingTask) -> None:
    batch = drawn(task, 300)
    hung = task.alignment(batch)
    assert hung is not None
    assert hung.shape == batch.targets.shape
    assert hung.dtype == torch.long
    assert int(hung.min()) >= -1
    last = torch.full((300,), task.steps - 1) if batch.ends is None else batch.ends
    assert (hung <= last).all()
    assert (hung[batch.targets == NO_TARGET] == -1).all()
    if task.end is not None:
        assert (hung[batch.targets == task.end] == -1).all()
    few = task.alignment(batch.take(slice(7, 9)))
    assert few is not None
    assert torch.equal(few, hung[:, 7:9])
