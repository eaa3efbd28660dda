"""What a test over many cases says of those that fail, and that it runs them all."""

import pytest
import torch
from cases import each


def test_every_case_that_fails_is_told_and_the_others_are_run() -> None:
    seen = []

    @each(("name", "number"), [("one", 1), ("two", 2), ("three", 3)])
    def odd(name: str, number: int) -> None:
        seen.append(name)
        if number == 1:
            raise KeyError(name)
        with pytest.raises(ZeroDivisionError):
            1 / (number - 2)

    with pytest.raises(AssertionError) as told:
        odd()
    assert seen == ["one", "two", "three"]
    first, *lines = str(told.value).splitlines()
    assert first == "2 of 3 cases fail"
    assert lines[0].startswith("one-1: KeyError")
    assert lines[1].startswith("three-3: Failed: DID NOT RAISE")
    assert isinstance(told.value.__cause__, KeyError)


def test_no_case_depends_on_what_another_drew() -> None:
    drawn = []
    each("_", range(3))(lambda _: drawn.append(float(torch.rand(()))))()
    assert len(drawn) == 3
    assert len({*drawn}) == 1


@pytest.mark.parametrize("other", ["a", "b"])
@each("name", ["c", "d"])
def test_what_is_left_is_pytests(other: str, name: str, tmp_path) -> None:
    assert other + name in {"ac", "ad", "bc", "bd"}
    assert tmp_path.is_dir()


def test_a_name_that_is_no_parameter_and_no_cases_at_all_are_refused() -> None:
    with pytest.raises(AssertionError, match="takes no"):
        each("nmae", [1])(lambda name: None)
    with pytest.raises(AssertionError, match="no case"):
        each("name", [])(lambda name: None)
