"""docs/tasks.md is the page made from the tasks, and reads no data."""

from pathlib import Path

import pytest

from study.commands import task_page
from study.commands.task_page import page
from study.tasks import TASKS
from study.tasks.base import DatasetTask, Task

FILE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"


def test_the_file_is_current():
    assert FILE.read_text(encoding="utf-8") == page(), "make docs"


def test_every_task_has_a_section_and_a_row_that_leads_to_it():
    text = page()
    for name, cls in TASKS.items():
        assert text.count(f"\n### {name}\n") == 1
        assert text.count(f"| [`{name}`](#{name}) |") == 1
        section = text.partition(f"\n### {name}\n")[2].partition("\n##")[0]
        for field in cls.parameters():
            assert f"| `task.{field}` |" in section


def test_no_data_are_read_or_drawn(monkeypatch: pytest.MonkeyPatch):
    def read(task: Task, *_: object) -> None:
        raise AssertionError(f"{task.name} was asked for its sequences")

    for cls in TASKS._things.values():
        monkeypatch.setattr(cls, "splits" if issubclass(cls, DatasetTask) else "sample", read)
    assert page()


def test_signs_of_a_formula_are_no_marks():
    text = task_page._prose("a_t = 2*b | ``c_t`` <d>")
    assert text == r"a\_t = 2\*b \| `c_t` \<d>"
