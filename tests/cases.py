"""One test over many cases, as over every cell: each that fails is told by its name."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any

import pytest
import torch

Test = Callable[..., None]


def each(
    names: str | tuple[str, ...],
    cases: Iterable[Any],
    ids: Iterable[str] | Callable[[Any], str] | None = None,
) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, within one item: thousands of short ones take longer to run than
    what they assert. Fixtures are shared by the cases, so none may be changed by the test.
    """
    single = isinstance(names, str)
    places = (names,) if single else names
    listed = list(cases)
    by = ids if callable(ids) else str
    told = [_told(case, by) for case in listed] if ids is None or callable(ids) else [*ids]
    named = list(zip(told, listed, strict=True))

    def decorate(test: Test) -> Test:
        @wraps(test)
        def over_all(**fixtures: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            for label, case in named:
                torch.manual_seed(0)  # as for a test of its own
                values = (case,) if single else case
                try:
                    test(**dict(zip(places, values, strict=True)), **fixtures)
                except (Exception, pytest.fail.Exception) as error:
                    failed.append((label, error))
            if failed:
                lines = [f"{label}: {type(error).__name__}: {error}" for label, error in failed]
                raise AssertionError(
                    f"{len(failed)} of {len(named)} cases fail\n" + "\n".join(lines)
                ) from failed[0][1]

        whole = signature(test)
        left = [p for name, p in whole.parameters.items() if name not in places]
        assert len(left) == len(whole.parameters) - len(places), f"{test} takes no {places}"
        assert named, f"no case for {test}"
        over_all.__signature__ = whole.replace(parameters=left)  # type: ignore[attr-defined]
        return over_all

    return decorate


def _told(case: object, name: Callable[[Any], str]) -> str:
    if isinstance(case, tuple):
        return "-".join(_told(value, name) for value in case)
    return case if isinstance(case, str) else name(case)
