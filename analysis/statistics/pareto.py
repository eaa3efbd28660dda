"""What is beaten by nothing in two things at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def front(costs: ArrayLike, qualities: ArrayLike) -> Sequence[int]:
    """The places of the Pareto front, the cheapest first: those that no other one beats.

    One beats another when it costs no more and is no worse, and one of the two is strict. Equal ones
    are all on it. NaN in either is never on it.
    """
    cost, quality = (np.asarray(values, dtype=float) for values in (costs, qualities))
    known = np.flatnonzero(~(np.isnan(cost) | np.isnan(quality)))
    found = [
        int(i)
        for i in known
        if not any(
            cost[j] <= cost[i]
            and quality[j] >= quality[i]
            and (cost[j] < cost[i] or quality[j] > quality[i])
            for j in known
        )
    ]
    return sorted(found, key=lambda i: (cost[i], quality[i]))
