"""The face of a room: names that are imported from their modules when first used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def handed_on(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package, for names that live in its modules: name -> module below it.

    So to import one module of a room loads no other. What type checkers see is imported beside it,
    under ``if TYPE_CHECKING``.
    """

    def look_up(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return look_up
