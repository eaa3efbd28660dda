"""Linear regression with a penalty that the data choose."""

import torch
from torch import Tensor

STRENGTHS = 10.0 ** torch.arange(-10, 5, dtype=torch.float64)  # of the features' mean square
RANK = 1e-12  # of the largest square: a direction with less is rounding


class Ridge:
    """y = (x - x̄) B + ȳ with B that minimizes ‖y - ŷ‖² + λ‖B‖², fitted to x (n,F) and y (n,C).

    λ minimizes the generalized cross-validation n‖y - ŷ‖²/(n - d)², d the effective number of
    parameters, summed over the columns of y (Golub, Heath & Wahba, 1979).
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self._at, self._level = x.mean(dim=0), y.mean(dim=0)
        x, y = x - self._at, y - self._level
        squares, axes = torch.linalg.eigh(x.T @ x)
        there = squares > RANK * squares[-1]
        squares, axes = squares[there], axes[:, there]
        along = axes.T @ (x.T @ y)  # (R,C)
        fits = along.square().sum(dim=1)
        total, count = y.square().sum(), len(x)
        best, self._slopes = float("inf"), x.new_zeros(x.shape[1], y.shape[1])
        for strength in (STRENGTHS * squares.mean()).tolist() if len(squares) else []:
            shares = squares / (squares + strength)
            # ‖y - ŷ‖² by axis: what is outside the span of x, and what the penalty leaves of the rest
            outside = (total - (fits / squares).sum()).clamp(min=0)
            left = outside + ((1 - shares).square() * fits / squares).sum()
            free = count - 1 - float(shares.sum())
            if free > 0 and (score := float(left) * count / free**2) < best:
                best = score
                self._slopes = axes @ (along / (squares + strength)[:, None])

    def __call__(self, x: Tensor) -> Tensor:
        """(n,F) -> (n,C)."""
        return (x - self._at) @ self._slopes + self._level
