"""The long test files are there, and come first."""

from pathlib import Path

import pytest
from order import LONGEST, place


def test_each_long_file_is_there_once_and_comes_before_a_short_one(
    pytestconfig: pytest.Config,
) -> None:
    found = [p.stem for p in (pytestconfig.rootpath / "tests").rglob("test_*.py")]
    assert [found.count(name) for name in LONGEST] == [1] * len(LONGEST)
    files = [
        Path("tests/test_short.py"),
        Path("tests/engines/test_jacobian.py"),
        Path("test_sweep.py"),
    ]
    assert sorted(files, key=place) == files[::-1]
