"""The language of the equations: text in, a cell's states, parameters and expressions out.

Text is parsed against a whitelist and never executed.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.language.cell import Cell as Cell
    from study.language.functions import FUNCTIONS as FUNCTIONS
    from study.language.nonlinearities import NONLINEARITIES as NONLINEARITIES
    from study.language.nonlinearities import Nonlinearity as Nonlinearity
    from study.language.notation import EquationError as EquationError

__getattr__ = handed_on(
    __name__,
    {
        "Cell": "cell",
        "FUNCTIONS": "functions",
        "NONLINEARITIES": "nonlinearities",
        "Nonlinearity": "nonlinearities",
        "EquationError": "notation",
    },
)
