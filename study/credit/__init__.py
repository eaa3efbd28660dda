"""Through how much of the past a loss is followed back to the parameters.

The outputs are the same with every rule; what differs is the gradient, or how it is computed.

One file a rule; a new one is a decorated class in a file here.
"""

from study.base.registry import load_modules
from study.credit.base import CREDIT, Credit

__all__ = ["CREDIT", "Credit"]

load_modules(__name__, first=("full", "truncated", "randomly_truncated", "real_time"))
