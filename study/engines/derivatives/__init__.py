"""The derivative of a step at given states: its slopes, products and Jacobian, and that by its parameters.

They are taken from the equations, and no pass back through time is needed for them.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.engines.derivatives.contributions import parameter_terms as parameter_terms
    from study.engines.derivatives.jacobian import jacobians as jacobians
    from study.engines.derivatives.jacobian import step_jacobian as step_jacobian
    from study.engines.derivatives.linearization import Linearization as Linearization
    from study.engines.derivatives.linearization import linearize as linearize

__getattr__ = handed_on(
    __name__,
    {
        "jacobians": "jacobian",
        "step_jacobian": "jacobian",
        "Linearization": "linearization",
        "linearize": "linearization",
        "parameter_terms": "contributions",
    },
)
