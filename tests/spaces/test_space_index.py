"""The list of studies, which is read off the files' text, says what the studies themselves do."""

import math
from pathlib import Path

import pytest
from rich.console import Console

from study.base.errors import UserError
from study.base.toml import read_toml
from study.spaces import file as space_file
from study.spaces import index as space_index


@pytest.mark.parametrize("name", list(space_index.available()))
def test_the_arms_told_are_those_of_the_study(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_file, "check_space", lambda *_: None)  # which takes seconds
    path = space_index.find(name)
    space, told = space_file.load(path), space_index.arms(read_toml(path).get("compare", {}))
    # The axes that have all of a kind are named; of the others the number is told.
    kinds = {part.removeprefix("every ") for part in told.split(" × ") if part.startswith("every")}
    counted = [len(v) for axis, v in space.compare.items() if axis.split(".")[-1] not in kinds]
    assert math.prod(counted) == (int(told.split(" × ")[-1]) if told[-1].isdigit() else 1)


@pytest.mark.parametrize(
    ("compare", "told"),
    [
        ({}, "1"),
        ({"model": {"cell": ["lstm", "gru"]}, "task": {"length": [10, 20, 30]}}, "6"),
        ({"bias": {"zero": {"init.bias": "zeros"}, "one": {"init": {"bias": "ones"}}}}, "2"),
        ({"model": {"cell": "all", "hidden": [8, 16]}}, "every cell × 2"),
        ({"model": {"cell": "all"}}, "every cell"),
        ({"model": {"cell": "all", "phi": "all"}}, "every cell × every phi"),
    ],
)
def test_arms_are_counted_from_the_text(compare: dict, told: str) -> None:
    assert space_index.arms(compare) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[study\n", "cannot be read"),
        ("study = 3\n", "study must be a table"),
        ("[compare]\nmodel.cell = 3\n", "must be a list of values"),
        (
            '[study]\nquestion = """Why\n  [not]?"""\ntrials = 7\n[compare]\nmodel.hidden = [1, 2]\n',
            "Why [not]?",
        ),
    ],
)
def test_a_line_a_study_whatever_is_in_the_file(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "mine.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    console = Console(width=200, markup=False)
    with console.capture() as printed:
        console.print(space_index.listing())
    (line,) = [line for line in printed.get().splitlines() if line.startswith("mine")]
    assert told in line


def test_a_folder_is_no_study_and_hides_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke").mkdir()
    assert space_index.find("smoke").name == "smoke.toml"
    (tmp_path / "mine").mkdir()
    for name in ("mine", "./mine", str(tmp_path)):
        with pytest.raises(UserError, match="is a folder; give a TOML file"):
            space_index.find(name)
