"""Digits drawn: the split of the task digits, and levels counted pixel by pixel."""

import math
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
import torch
from answers import named
from torch import Tensor

from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.written.digit_drawing import DigitDrawing


def greys(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """(N,8,8) and the digits (N)."""
    return batch.targets.T.reshape(-1, 8, 8).numpy(), batch.inputs[0].argmax(-1).numpy()


def test_drawn_digits_are_in_the_split_of_digits() -> None:
    drawing, reading = TASKS.build({"name": "digit-drawing", "levels": 17}), TASKS.build("digits")
    assert isinstance(drawing, DigitDrawing)

    def pictures(images: Tensor, labels: Tensor) -> set[tuple[bytes, int]]:
        rows = [image.numpy().tobytes() for image in images.T.contiguous().to(torch.uint8)]
        return set(zip(rows, labels.tolist(), strict=True))

    splits, expected = drawing.splits(), reading.splits()  # type: ignore[attr-defined]
    assert splits.keys() == expected.keys()
    for part, batch in splits.items():
        found = pictures(batch.targets, batch.inputs[0].argmax(-1))
        other = expected[part]
        assert found == pictures(other.inputs[..., 0] * 16, other.targets[0])
        assert len(found) == len(other)


@pytest.mark.parametrize("levels", [2, 3, 4, 16, 17])
def test_intensities_are_put_into_levels_of_equal_width(levels: int) -> None:
    fine, coarse = (named("digit-drawing", levels=n).validation().targets for n in (17, levels))
    edges = [math.ceil(17 * i / levels) for i in range(1, levels)]  # the first of each next level
    assert torch.equal(coarse, torch.bucketize(fine.contiguous(), torch.tensor(edges), right=True))
    widths = np.diff([0, *edges, 17])
    assert widths.max() - widths.min() <= 1


def test_held_out_pictures_are_new_at_the_default_and_nearly_at_two_levels() -> None:
    """Whatever their labels."""
    for levels, most in ((4, 0), (3, 0.01), (2, 0.05)):
        splits = TASKS.build({"name": "digit-drawing", "levels": levels}).splits()  # type: ignore[attr-defined]
        rows = {part: [row.numpy().tobytes() for row in b.targets.T] for part, b in splits.items()}
        for part in ("validation", "test"):
            others = set().union(*(rows[other] for other in rows if other != part))
            assert sum(row in others for row in rows[part]) <= most * len(rows[part])


@pytest.mark.parametrize("levels", [2, 4, 9])
def test_levels_of_drawing_are_those_of_tables(levels: int) -> None:
    """Counted with dictionaries, pixel by pixel, as the docstring says."""
    task = named("digit-drawing", levels=levels)
    splits = task.splits()  # type: ignore[attr-defined]
    seen: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def contexts(picture: np.ndarray, digit: int, y: int, x: int) -> list[tuple[int, ...]]:
        left = int(picture[y, x - 1]) if x else 0
        above = int(picture[y - 1, x]) if y else 0
        known = (y, x, int(digit), left, above)
        return [known[:length] for length in (2, 3, 4, 5)]

    for picture, digit in zip(*greys(splits["training"]), strict=True):
        for y, x in product(range(8), repeat=2):
            for context in contexts(picture, digit, y, x):
                seen[context][int(picture[y, x])] += 1
    losses, right = np.zeros(4), 0
    pictures, labels = greys(splits["validation"])
    for picture, digit in zip(pictures, labels, strict=True):
        for y, x in product(range(8), repeat=2):
            grey, probability = int(picture[y, x]), 1 / levels
            for depth, context in enumerate(contexts(picture, digit, y, x)):
                counts = seen[context]
                probability = (counts[grey] + 10 * probability) / (sum(counts.values()) + 10)
                losses[depth] -= math.log(probability)
            right += grey == max(range(levels), key=seen[y, x].__getitem__)
    losses /= pictures.size
    assert task.chance_loss == pytest.approx(losses[0], rel=1e-9)
    assert task.chance_metric == pytest.approx(right / pictures.size, rel=1e-12)
    assert list(task.plateaus.values()) == [pytest.approx(losses[1], rel=1e-9)]
    assert f"{losses[3]:.4g}" in task.solved_rule
    assert losses[3] < losses[2] < losses[1] < losses[0]
    assert task.solved({"loss": losses[3] - 1e-6})
    assert not task.solved({"loss": losses[3] + 1e-6})


def test_drawing_is_measured_by_pixels_right() -> None:
    task = named("digit-drawing")
    batch = task.validation()
    predictions = 9.0 * torch.nn.functional.one_hot(batch.targets, 4)
    predictions[0] = predictions[0].roll(1, dims=-1)  # one pixel of 64 wrong in every picture
    scores = task.scores(predictions, batch.targets)
    assert scores.keys() == {"loss", "accuracy"}
    assert scores["accuracy"] == pytest.approx(63 / 64)
    assert task.canvas == (8, 8)
    assert task.end is None
