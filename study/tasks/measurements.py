"""Measured numbers of a user's file: which can be used, and on what scale."""

import numpy as np

LARGEST = 1e30  # netCDF fills gaps with 9.97e36; the largest float32 is 3.4e38
ROUNDING = 1e-12  # of a column's largest value: less of a deviation is rounding


def read_number(text: str) -> float:
    """Raises ValueError for what is no number, not finite, or too large to be scaled."""
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
