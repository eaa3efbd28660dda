"""What several probes of one moment have in common, measured once."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """``once(measure, …)`` is ``measure(…)``, made at the first call and handed out at the others.

    It goes by the function alone: a new one belongs to each network, batch and moment. A measurement that
    raised raises again.
    """

    def __init__(self) -> None:
        self._made: dict[Callable[..., Any], Any] = {}
        self._raised: dict[Callable[..., Any], Exception] = {}

    def __call__(self, measure: Callable[..., T], *given: Any) -> T:
        if measure in self._raised:
            raise self._raised[measure]
        if measure not in self._made:
            try:
                self._made[measure] = measure(*given)
            except Exception as error:
                self._raised[measure] = error
                raise
        made: T = self._made[measure]
        return made
