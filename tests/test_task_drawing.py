"""The drawn example is the sequence and what is asked of it."""

import math

import pytest
import torch

from study.task_drawing import WIDTH, bars, example, shorter
from study.tasks import TASKS


def lines_of(name: str, **parameters: object) -> dict[str, str]:
    drawing = example(TASKS.build({"name": name, **parameters}))
    return {line[:18].split("  ")[0]: line for line in drawing.splitlines()}


@pytest.mark.parametrize("name", [name for name, cls in TASKS.items() if not cls.needs_files])
def test_every_task_can_be_drawn_in_a_few_lines(name: str) -> None:
    drawing = example(TASKS.build(name))
    lines = drawing.splitlines()
    assert 2 <= len(lines) <= 6
    assert max(map(len, lines)) <= WIDTH + 20
    assert lines[0].startswith("input")
    assert sum(line.startswith("asked") for line in lines) == 1
    assert example(TASKS.build(name)) == drawing


def test_symbols_are_those_of_the_sequence() -> None:
    task = TASKS.build({"name": "copy", "length": 5})
    batch = next(task.training(0, 1))
    lines = lines_of("copy", length=5)
    shown = lines["input"].removeprefix("input").strip()
    asked = lines["asked"].removeprefix("asked").strip()
    assert len(shown) == len(asked) == task.steps
    assert task.alphabet is not None
    assert shown == "".join(task.alphabet[i] for i in batch.inputs[:, 0].argmax(-1).tolist())
    assert shown[10:] == "····!··········"
    assert asked == "·" * 15 + shown[:10]


def test_a_step_that_asks_nothing_is_blank() -> None:
    lines = lines_of("delayed-xor", length=12, delay=3)
    margin = len("input  ")
    bits, asked = lines["input"][margin:], lines["asked"][margin:]
    assert asked[:6] == " " * 6
    for t in range(6, 12):
        assert (asked[t] == "█") == (bits[t - 3] != bits[t - 6])


def test_bars_go_from_the_least_to_the_greatest() -> None:
    assert bars(torch.tensor([-1.0, 0.0, 1.0])) == "▁▅█"
    assert bars(torch.arange(8.0)) == "▁▂▃▄▅▆▇█"
    assert bars(torch.tensor([math.nan, 2.0, 3.0])) == " ▁█"
    assert bars(torch.ones(3)) == "▁▁▁"


def test_a_long_task_is_drawn_short_and_says_so() -> None:
    task = TASKS.build({"name": "adding", "length": 5000})
    assert shorter(task).steps <= WIDTH
    assert "(one with length 60)" in example(task)
    assert shorter(TASKS.build({"name": "adding", "length": 20})).steps == 20
    digits = example(TASKS.build("digits"))
    assert "(the first 60 of 64 steps)" in digits
