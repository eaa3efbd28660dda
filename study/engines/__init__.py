"""How a cell is run over a sequence, forward and backward.

The reference engine computes with torch's operations, the native one in generated C; `select`
takes one of them.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.engines.recording import Limit as Limit
    from study.engines.recording import StateGradients as StateGradients

__getattr__ = handed_on(__name__, {"StateGradients": "recording", "Limit": "recording"})
