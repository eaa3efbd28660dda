"""What is measured of a network beside its loss: gradient flow, audit at step 0, what it writes.

A probe computes and draws nothing; pictures are made where runs are tracked. One file a probe; a new one
is a decorated function in a file here.
"""

from study.base.registry import load_modules
from study.probes.base import PROBES, Probe, Subject

__all__ = ["PROBES", "Probe", "Subject"]

load_modules(__name__, first=("gradient_flow", "audit", "writing"))
