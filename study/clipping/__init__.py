"""What is done to the gradient between the backward pass and the optimizer's step.

One file a family; a new rule is a decorated class in any of them, or in a new file.
"""

from study.base.registry import load_modules
from study.clipping.base import CLIPPING, Clipped, Clipper, Clipping, global_norm

load_modules(__name__)

__all__ = ["CLIPPING", "Clipped", "Clipper", "Clipping", "global_norm"]
