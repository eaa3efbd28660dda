"""Where in what is searched a study's trials lie: a scrambled Sobol sequence.

Few independent draws leave holes: of ten, the largest is a quarter of the range on average. Of a Sobol
sequence every 2^m points from a multiple of 2^m on have one in each 1/2^m of every dimension, and it can
be extended at will. So no gap of n points is as wide as 2/2^m, 2^m the largest power of two up to n.
"""

import math

from scipy.stats.qmc import Sobol

from study.base.seeding import derive

BITS = 30  # of a point; as scipy's
# Of the dimensions of Joe & Kuo (2008). In their own order the upper half of the third is that of the
# fourth among eight points, and that of the fifth the first's: two parameters would go up and down
# together. Of these the first four have halves of their own among eight points, all among sixteen.
_ORDER = (0, 1, 2, 34, 21, 53, 41, 36)


def quantile(seed: int, name: str, dimension: int, number: int) -> float:
    """Where trial ``number`` lies in the range of one parameter: between 0 and 1, neither of them.

    ``dimension`` is the parameter's in the sequence; that of another may not be the same, else the two
    go up and down together, however they are scrambled. The scrambling goes by seed and ``name``.
    Owen (1995), Randomly permuted (t, m, s)-nets and (t, s)-sequences.
    """
    rest = (d for d in range(dimension + 1) if d not in _ORDER)
    column = [*_ORDER, *rest][dimension]
    sequence = Sobol(column + 1, scramble=False, bits=BITS)
    if number:  # scipy cannot go forward by nothing
        sequence.fast_forward(number)
    point = int(sequence.random(1)[0, -1] * 2**BITS)
    return (_scrambled(point, seed, name) + 0.5) / 2**BITS


def number_at(share: float, low: float, high: float, *, log: bool) -> float:
    """The number with that share of the range below it; with ``log`` of its logarithm."""
    if log:
        low_end, high_end = math.log(low), math.log(high)
        value = math.exp(low_end + share * (high_end - low_end))
    else:
        value = (1 - share) * low + share * high  # high - low may be too large a number
    return min(max(value, low), high)  # as rounding may lead out of it


def whole_number_at(share: float, low: int, high: int, *, log: bool) -> int:
    """The whole number there, each having the part of the range that rounds to it."""
    return min(max(round(number_at(share, low - 0.5, high + 0.5, log=log)), low), high)


def _scrambled(point: int, seed: int, name: str) -> int:
    """Each binary digit is kept or turned by chance, the chance depending on the digits before it."""
    turned = 0
    for place in range(BITS):
        before = point >> (BITS - place)
        turned = turned << 1 | derive(seed, "design", name, place, before) & 1
    return point ^ turned
