"""What the calling thread does with denormal numbers."""

import sys


def survives() -> bool:
    """Whether half of the smallest normal number is a number, and not zero."""
    return sys.float_info.min * 0.5 > 0
