"""The drawn example is the sequence and what is asked of it."""

import json
import math
from datetime import date
from pathlib import Path

import pytest
import torch

from study.tasks import TASKS
from study.tasks.sketch import WIDTH, _written, bars, example, grey_blocks, shorter
from study.tasks.written.number_names import words
from study.tasks.written.number_words import NumberWords


def lines_of(name: str, **parameters: object) -> dict[str, str]:
    drawing = example(TASKS.build({"name": name, **parameters}))
    return {line[:18].split("  ")[0]: line for line in drawing.splitlines()}


@pytest.mark.parametrize("name", [name for name, cls in TASKS.items() if not cls.needs_files])
def test_every_task_can_be_drawn_in_a_few_lines(name: str) -> None:
    task = TASKS.build(name)
    drawing = example(task)
    lines = drawing.splitlines()
    assert 2 <= len(lines) <= (1 + 8 if name == "digit-drawing" else 6)
    assert max(map(len, lines)) <= WIDTH + 20
    assert lines[0].startswith(task.channels[0] if task.channels else "input")
    assert sum(line.startswith("asked") for line in lines) == 1
    assert example(TASKS.build(name)) == drawing


def test_the_columns_of_a_table_are_named(tmp_path: Path) -> None:
    table = tmp_path / "weather.csv"
    rows = [f"{day},{day % 7},{day % 5},{day % 3}" for day in range(100)]
    header = "day,temperature,wind,the longest of all names of a column"
    table.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    lines = lines_of("csv-series", path=str(table), length=8, targets="wind")
    assert list(lines) == ["temperature", "wind", "the longest of all", "asked at the end"]
    assert lines["asked at the end"].split()[-2] == "wind"
    assert float(lines["asked at the end"].split()[-1]) < 3


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


def test_what_never_changes_is_said_and_so_is_that_the_state_is_asked() -> None:
    lines = lines_of("influence-balancing")
    assert lines["input"].split(maxsplit=1)[1] == "1 at every step"
    assert lines["asked of the state"].endswith("state  1 at every step")
    lines = lines_of("waveform", length=20)
    assert lines["input"].split(maxsplit=1)[1] == "1 at every step"
    assert len(lines["asked"].split()[1]) == 20


def test_a_long_task_is_drawn_short_and_says_so() -> None:
    task = TASKS.build({"name": "adding", "length": 5000})
    assert shorter(task).steps <= WIDTH
    assert "(one with length 60)" in example(task)
    assert shorter(TASKS.build({"name": "adding", "length": 20})).steps == 20
    digits = example(TASKS.build("digits"))
    assert "(the first 60 of 64 steps)" in digits


def test_of_many_channels_those_that_vary_are_drawn(tmp_path: Path) -> None:
    frames = [[60], [60, 64], [67], [60, 64]]  # keys 40, 44 and 47 of the 88 from 21 on
    piece = {split: [frames] for split in ("train", "valid", "test")}
    (tmp_path / "piece.json").write_text(json.dumps(piece))
    drawing = example(TASKS.build({"name": "music", "path": str(tmp_path / "piece.json")}))
    assert [line.split() for line in drawing.splitlines()] == [
        ["input", "40", "██▁"],
        ["input", "44", "▁█▁"],
        ["input", "47", "▁▁█"],
        ["input", "…", "and", "85", "more"],
        ["asked", "40", "█▁█"],
        ["asked", "44", "█▁█"],
        ["asked", "47", "▁█▁"],
        ["asked", "…", "and", "85", "more"],
    ]


def test_texts_are_drawn_in_their_words_and_classes_by_their_names(tmp_path: Path) -> None:
    # More than a line of words; texts differ by their first one, which two kept apart leave out.
    text = " ".join(["seen", "twice"] * 20)
    rows = [f"no{i} {text},{'good' if i % 2 else 'bad'}\n" for i in range(40)]
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(rows))
    path = str(tmp_path / "t.csv")
    lines = example(TASKS.build({"name": "csv-text", "path": path, "vocabulary": 2})).splitlines()
    *read, asked = [line.split() for line in lines]
    assert [word for line in read for word in line] == ["input", "·", *text.split()]
    assert asked[:3] == ["asked", "at", "the"]
    assert asked[-1] in ("good", "bad")
    assert max(map(len, lines)) <= WIDTH + 20
    task = TASKS.build({"name": "csv-text", "path": path, "unit": "character", "length": 8})
    assert example(task).splitlines()[0].split(maxsplit=1)[1].startswith("no")


def test_what_is_written_stands_under_what_is_read() -> None:
    lines = lines_of("transduction", length=12, variable=True)
    read = lines["input"].removeprefix("input").strip()
    margin = lines["input"].index(read)
    assert 2 <= len(read) <= 12
    assert lines["asked after it"][margin:] == read[::-1] + "∎"
    lines = lines_of("date-formats")
    written = lines["asked after it"].removeprefix("asked after it").strip()
    assert date.fromisoformat(written).year == int(lines["input"][-4:])


def test_words_are_apart_and_the_end_is_drawn() -> None:
    lines = lines_of("number-words")
    number = lines["input"].removeprefix("input").strip()
    said = lines["asked after it"].removeprefix("asked after it").strip()
    assert said == " ".join([*(word for word, _ in words(int(number))), "∎"])
    characters = lines_of("number-words", unit="character")
    assert characters["asked after it"].removeprefix("asked after it").strip() == said.replace(
        " ∎", "∎"
    )


def test_a_long_answer_goes_on_below_and_loses_nothing() -> None:
    for unit in ("word", "character"):
        task = TASKS.build({"name": "number-words", "digits": 6, "unit": unit})
        assert isinstance(task, NumberWords)
        lines = _written(task, task.written([373373]))
        said = "three hundred seventy three thousand three hundred seventy three"
        assert [name for name, _ in lines] == ["asked after it", ""]
        assert all(len(line) <= WIDTH for _, line in lines)
        if unit == "word":
            assert " ".join(line for _, line in lines) == f"{said} ∎"
        else:
            assert "".join(line for _, line in lines) == f"{said}∎"


def test_a_picture_is_grey_blocks_twice_as_many_as_pixels() -> None:
    picture = torch.tensor([[0, 1], [2, 3]])
    assert grey_blocks(picture, 4) == ["  ░░", "▓▓██"]
    assert grey_blocks(torch.tensor([[0, 1]]), 2) == ["  ██"]
    task = TASKS.build("digit-drawing")
    batch = next(task.training(0, 1))
    input_line, *drawn = example(task).splitlines()
    assert input_line.split() == ["input", str(int(batch.inputs[0, 0].argmax()))]
    margin = len("asked after it  ")
    for row, line in enumerate(drawn):
        shown = line[margin:].ljust(16)
        for column in range(8):
            grey = int(batch.targets[8 * row + column, 0])
            assert shown[2 * column : 2 * column + 2] == 2 * " ░▓█"[grey]
    assert len(drawn) == 8
