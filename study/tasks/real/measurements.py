"""Measured numbers of a user's file: which can be used, on what scale, and which measure nothing."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

LARGEST = 1e30  # netCDF fills gaps with 9.97e36; the largest float32 is 3.4e38
ROUNDING = 1e-12  # of a column's largest value: less of a deviation is rounding

FarValues = Literal["refuse", "keep"]
FAR = 100  # times the range of all other values, away from them
FAR_ALONE = 10
FEWEST_OTHERS = 10  # different values; a signal of fewer may have states, near and far
MOST_CODES = 2  # at each end of a column: one for "missing", one for "out of range"
# Written for a gap on purpose: nines or another digit over and over, ends of the ranges of integers,
# 1 and many zeros, and the null value of well logs.
NINES = re.compile(r"99+(\.9*)?")
CODE = re.compile(
    rf"{NINES.pattern}|([678])\2{{3,}}|10{{9,}}|1e\+\d+|32767|32768|65535|214748364[78]|4294967295|999\.25"
)


def read_number(text: str) -> float:
    """Digits with a sign, a point and an exponent, as in 1234.5 or -1e-3; blanks around them.

    Raises ValueError for anything else, for what is not finite, and for what is too large to be scaled.
    Python's float() would read 1_000 and 2020_01 too, which are not numbers in a file.
    """
    text = text.strip()
    if "_" in text or not text.isascii():
        raise ValueError(text)
    value = float(text)
    if not abs(value) <= LARGEST:
        raise ValueError(text)
    return value


def scale(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of (rows, columns); 0 of one that is constant.

    The computed deviation of a constant 0.1 is not 0 but a rounding error, and dividing by it would
    blow up whatever differs from 0.1 later.
    """
    mean, std = seen.mean(axis=0), seen.std(axis=0)
    std[std <= ROUNDING * np.abs(seen).max(axis=0)] = 0
    return mean, std


@dataclass(frozen=True)
class GapCode:
    """A value that stands where none was measured, how often, and the range of all others."""

    value: float
    count: int
    low: float
    high: float

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.value:.15g} {times}, far outside all other values ({self.low:g} to {self.high:g})"


def gap_code(values: np.ndarray) -> GapCode | None:
    """The value of (N,) that is most likely a code for a gap, such as -9999 among values near 2.

    At either end of the values up to `MOST_CODES` may be codes. Each must come again, and lie away from
    all that are none: by as much as these span, if it is written as codes are (-9999, 1e20, 32767), by
    twice as much if it is 99; else by `FAR` times as much, if those are most of the values and of
    `FEWEST_OTHERS` kinds, and it is not 0, which is measured where nothing is. Three nines or more that
    are `FAR_ALONE` times as far need not come again. Of two different values neither is a code: all
    there is to see is which it is.
    """
    distinct, counts = np.unique(values, return_counts=True)
    pairs = [(low, high) for low in range(MOST_CODES + 1) for high in range(MOST_CODES + 1)]
    for low, high in sorted(pairs, key=sum, reverse=True)[:-1]:  # as many codes as there are
        kept = slice(low, len(distinct) - high)
        if len(distinct) - low - high < 2:
            continue
        first, last = distinct[kept][[0, -1]]
        usual = len(distinct[kept]) >= FEWEST_OTHERS and 2 * counts[kept].sum() > len(values)
        ends = [*range(low), *range(len(distinct) - high, len(distinct))]
        with np.errstate(over="ignore"):  # the others may lie within 1e-300: then all is far
            far = [max(first - distinct[i], distinct[i] - last) / (last - first) for i in ends]
        if all(
            _is_code(distinct[i], counts[i], share, usual)
            for i, share in zip(ends, far, strict=True)
        ):
            most = max(ends, key=lambda i: counts[i])
            return GapCode(float(distinct[most]), int(counts[most]), float(first), float(last))
    return None


def _is_code(value: float, count: int, far: float, usual: bool) -> bool:
    """``far`` is how far away it lies in ranges of the others, ``usual`` whether these are the rule."""
    written = f"{abs(value):.15g}"
    if CODE.fullmatch(written):
        nines = NINES.fullmatch(written) is not None
        short = nines and abs(value) < 100
        return far >= 1 + short and (count > 1 or (nines and not short and far >= FAR_ALONE))
    return bool(count > 1 and value != 0 and usual and far >= FAR)
