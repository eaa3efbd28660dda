"""Recurrent networks across long time lags: the public face of `study` and `analysis`.

    from longlag import Cell, Layer, StateGradients

The names below are imported when first used, so that ``longlag --help`` need not load torch.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study import (
        CELLS,
        Cell,
        Layer,
        Stack,
        StateGradients,
        TrialConfig,
        train,
    )

__all__ = ["Cell", "CELLS", "Layer", "Stack", "StateGradients", "TrialConfig", "train"]

_HERE = Path(__file__).resolve().parent.parent


class Shadowed(ImportError):
    """Something else is found under the name of one of our packages. Its text is one line."""


def check_ours(package: str) -> None:
    """Raises Shadowed unless the package that an import finds is the one beside this file."""
    ours = _HERE / package
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not any(Path(folder).resolve() == ours for folder in folders):
        found = (spec.origin if spec else None) or (folders[0] if folders else "nothing")
        raise Shadowed(
            f"Python finds {found} under the name {package!r}, where longlag has a package of its "
            f"own ({ours}); rename the one found, or run from another folder"
        )


def main() -> None:
    """The command ``longlag``."""
    try:
        check_ours("study")
        from study.__main__ import main as run

        run()
    except Shadowed as error:
        print(f"longlag: {error}", file=sys.stderr)
        sys.exit(2)


def __getattr__(name: str) -> Any:
    if name not in __all__ and name != "__version__":
        raise AttributeError(f"module 'longlag' has no attribute {name!r}")
    check_ours("study")
    return getattr(import_module("study"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
