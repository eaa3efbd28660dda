"""Recurrent networks across long time lags: cells as equations, engines, tasks, sweeps.

Shapes are written with T steps, B sequences in a batch, I inputs, H hidden units, C outputs.

The names below are imported when first used, so that ``longlag --help`` need not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.cells import CELLS
    from study.config import TrialConfig
    from study.engines.recording import StateGradients
    from study.equations import Cell
    from study.layer import Layer
    from study.stack import Stack
    from study.training import train

__version__ = "0.1.0"
__all__ = ["Cell", "CELLS", "Layer", "Stack", "StateGradients", "TrialConfig", "train"]

_HOME = {
    "Cell": "study.equations",
    "CELLS": "study.cells",
    "Layer": "study.layer",
    "Stack": "study.stack",
    "StateGradients": "study.engines.recording",
    "TrialConfig": "study.config",
    "train": "study.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'study' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
