"""Baselines are fitted once; what they depend on tells whether they are still those."""

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from test_tasks import named

from study.base.user_cache import cache_folder
from study.tasks import kept_baselines
from study.tasks.baselines import baselines
from study.tasks.kept_baselines import fitted, known
from study.tasks.real import digits
from study.tasks.synthetic.latching import Latching


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept_baselines._digest.cache_clear()


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Counts how often anything is fitted."""
    counted = Mock(wraps=baselines)
    monkeypatch.setattr(kept_baselines, "baselines", counted)
    return counted


@pytest.mark.parametrize("name", ["latching", "hello", "digits"])
def test_they_are_fitted_once(name: str, fits: Mock) -> None:
    task = named(name)
    assert known(task) is None
    first = fitted(task)
    assert first == baselines(task)
    assert known(named(name)) == fitted(named(name)) == first
    assert fits.call_count == 1


def test_of_a_task_that_reads_the_state_there_are_none_to_fit() -> None:
    assert known(named("influence-balancing")) == []


def test_other_options_other_sequences_and_other_code_have_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted(named("latching"))
    assert known(named("latching", length=50)) is None
    with monkeypatch.context() as patch:
        patch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 900)
        assert known(named("latching")) is None
    with monkeypatch.context() as patch:
        patch.setattr(kept_baselines, "_digest", lambda files: "of other code")
        assert known(named("latching")) is None
    assert known(named("latching")) is not None


def test_the_code_is_that_of_the_fit_the_tasks_and_the_tasks_own_file(tmp_path: Path) -> None:
    seen: list[tuple[Path, ...]] = []
    digest = kept_baselines._digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_baselines, "_digest", lambda files: seen.append(files) or "")
        known(named("latching"))
    names = {path.name for path in seen[0]}
    assert {"latching.py", "baselines.py", "base.py", "measures.py"} <= names
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a = 1")
    two.write_text("a = 2")
    assert digest((one,)) != digest((two,)) != digest((one, two))


def test_of_a_task_that_was_typed_in_nothing_is_kept() -> None:
    # A module of no file, as an interactive session is.
    typed = type(Latching)("Typed", (Latching,), {"__module__": "typed_in"})
    task = typed()
    assert fitted(task) == baselines(task)
    assert known(task) is None
    assert not list(cache_folder().iterdir())


def test_what_is_damaged_is_fitted_again(fits: Mock) -> None:
    first = fitted(named("latching"))
    (file,) = cache_folder().glob("baselines-*")
    file.write_text(file.read_text()[:-9])
    assert known(named("latching")) is None
    assert fitted(named("latching")) == first
    assert fits.call_count == 2


@pytest.mark.parametrize("split", [digits.SPLIT, 0])
def test_kept_digits_are_those_of_scikit_learn(split: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits.images_and_labels.cache_clear()
    digits.images_and_labels(split)
    digits.images_and_labels.cache_clear()
    monkeypatch.setattr(digits, "_of_scikit_learn", Mock(side_effect=AssertionError("read anew")))
    kept = digits.images_and_labels(split)
    digits.images_and_labels.cache_clear()
    images, labels = load_digits(return_X_y=True)
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=400, stratify=labels, random_state=split
    )
    training, validation = train_test_split(
        rest, test_size=400, stratify=labels[rest], random_state=split
    )
    for name, rows in (("training", training), ("validation", validation), ("test", test)):
        for found, wanted in zip(kept[name], (images[rows], labels[rows]), strict=True):
            assert found.dtype == wanted.dtype
            assert np.array_equal(found, wanted)
