"""p-values of several tests that are looked at together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def holm(p: Sequence[float]) -> Array:
    """Adjusted for having looked at all of them, in the order given. Holm (1979), Scand. J. Stat. 6.

    The k-th lowest of m times m - k + 1, no lower than the one before, at most 1. To call significant what
    is at most α then makes a false claim with probability α at most, over the whole family, however the
    tests depend on each other. NaN stays NaN and is not counted.
    """
    given = np.asarray(p, dtype=float)
    adjusted = np.full(len(given), np.nan)
    order = np.argsort(given)[: int((~np.isnan(given)).sum())]  # NaN is sorted last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return adjusted
