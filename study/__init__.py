"""Recurrent networks across long time lags: cells as equations, engines, tasks, sweeps.

Shapes are written with T steps, B sequences in a batch, I inputs, H hidden units, C outputs.

The names below are imported when first used, so that ``longlag --help`` need not load torch.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.cells import CELLS
    from study.engines.recording import StateGradients
    from study.language.cell import Cell
    from study.networks.layer import Layer
    from study.networks.stack import Stack
    from study.trial.config import TrialConfig
    from study.trial.training import train

__version__ = "0.1.0"
__all__ = ["Cell", "CELLS", "Layer", "Stack", "StateGradients", "TrialConfig", "train"]

_HOME = {
    "Cell": "language.cell",
    "CELLS": "cells",
    "Layer": "networks.layer",
    "Stack": "networks.stack",
    "StateGradients": "engines.recording",
    "TrialConfig": "trial.config",
    "train": "trial.training",
}

__getattr__ = handed_on(__name__, _HOME)
