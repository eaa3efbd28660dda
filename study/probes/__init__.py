"""What is measured of a network beside its loss: gradient flow, audit at step 0, what it writes,
where it stands still, how its gates are open, what it remembers.

A probe computes and draws nothing; pictures are made where runs are tracked.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.probes.audit import Audit as Audit
    from study.probes.fixed_points import FixedPoints as FixedPoints
    from study.probes.gates import Gates as Gates
    from study.probes.gradient_flow import GradientFlow as GradientFlow
    from study.probes.memory import Memory as Memory
    from study.probes.writing import Writing as Writing

__getattr__ = handed_on(
    __name__,
    {
        "Audit": "audit",
        "FixedPoints": "fixed_points",
        "Gates": "gates",
        "GradientFlow": "gradient_flow",
        "Memory": "memory",
        "Writing": "writing",
    },
)
