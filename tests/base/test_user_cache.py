"""What is kept in the user's cache folder comes back whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from study.base.user_cache import cache_folder, keep, recall

OF = {"task": {"name": "adding", "length": 20}, "code": "a1"}
CONTENT = [{"name": "linear", "scores": {"loss": 0.1, "bits": float("inf")}, "meets": False}]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def the_file() -> Path:
    (found,) = cache_folder().iterdir()
    return found


def test_what_is_kept_is_recalled_for_the_same_and_nothing_else() -> None:
    assert recall("baselines", OF) is None
    keep("baselines", OF, CONTENT)
    assert recall("baselines", dict(reversed(OF.items()))) == CONTENT
    assert recall("baselines", {**OF, "code": "a2"}) is None
    assert recall("digits", OF) is None
    keep("baselines", OF, [])
    assert recall("baselines", OF) == []
    assert the_file().stat().st_mode & 0o077 == 0


def other_number(text: str) -> str:
    return text.replace("0.1", "0.2")


def of_another(text: str) -> str:
    """A whole file, but of something else."""
    keep("other", {}, CONTENT)
    (other,) = cache_folder().glob("other-*")
    found = other.read_text()
    other.unlink()
    return found


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-5],
        lambda text: "[" * 100_000,
        lambda text: "[1, 2]",
        lambda text: json.dumps({"content": CONTENT}),
        other_number,
        of_another,
    ],
)
def test_what_is_damaged_is_not_recalled_and_can_be_kept_again(
    damage: Callable[[str], str],
) -> None:
    keep("baselines", OF, CONTENT)
    file = the_file()
    file.write_text(damage(file.read_text()))
    assert recall("baselines", OF) is None
    keep("baselines", OF, CONTENT)
    assert recall("baselines", OF) == CONTENT


def test_bytes_that_are_no_text_are_not_recalled() -> None:
    keep("baselines", OF, CONTENT)
    the_file().write_bytes(b"\xff\xfe\x00")
    assert recall("baselines", OF) is None


def test_without_a_place_nothing_is_kept_and_nobody_is_troubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep("baselines", OF, CONTENT)
    assert recall("baselines", OF) is None


def test_nothing_is_taken_from_a_folder_that_others_may_write_to() -> None:
    keep("baselines", OF, CONTENT)
    os.chmod(cache_folder(), 0o777)
    assert recall("baselines", OF) is None


def test_a_write_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("study.base.user_cache.os.replace", full)
    keep("baselines", OF, CONTENT)
    assert list(cache_folder().iterdir()) == []
