"""Products of many matrices whose singular values lie further apart than floating point reaches."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

EPS = torch.finfo(torch.float64).eps
ROUNDING = 4 * EPS  # of a product J q, in units of ‖J‖
# A singular value is resolved where the estimate of its relative error is below this.
RESOLVED = 0.01
# Below this share of the smallest singular value, rounding is no matter.
EXACT = 1e-6
# Cosine between rows that count as orthogonal; the singular values then err by its square.
ORTHOGONAL = 1e-8
FINITE = 700.0  # whose exponential is a number
SWEEPS = 40  # some five are needed


@dataclass(frozen=True)
class Graded:
    """B matrices M = Q · diag(exp(logs)) · T, in float64.

    ``q`` (B,N,K) has orthonormal columns, ``logs`` (B,K) are natural logarithms, and ``t`` (B,K,K) has
    rows of length 1. A row that is zero has the logarithm -inf. ``errors`` (B,K) estimate the rounding
    error of each singular value that a row stands for, to first order, and ``noise`` (B,K) that of the
    row itself, which counts where rows are nearly dependent.

    What is large and what is small never meet in one sum, so that a product of any length keeps its
    small singular values. It is the stratification of Loh et al. (1989), its columns sorted instead of
    pivoted as in Tomás, Chang, Scalettar & Bai (2012), with logarithms in place of the numbers.
    """

    q: Tensor
    logs: Tensor
    t: Tensor
    errors: Tensor
    noise: Tensor

    @classmethod
    def start(cls, q: Tensor) -> "Graded":
        """M = q (B,N,K), whose columns are orthonormal."""
        batch, _, size = q.shape
        zero = q.new_zeros(batch, size)
        return cls(q, zero, torch.eye(size, dtype=q.dtype).repeat(batch, 1, 1), zero, zero)

    def after(self, a: Tensor, norm: Tensor) -> "Graded":
        """J M, given a = J q (B,N',K), and how large the numbers are that its columns come from: about ‖J‖,
        (B,1) or (B,K)."""
        lengths = a.norm(dim=1)
        norm = torch.maximum(norm, lengths.amax(dim=1, keepdim=True)).expand_as(lengths)
        logs = self.logs + lengths.log()
        order = logs.argsort(dim=1, descending=True, stable=True)
        given = (logs, lengths, norm, self.errors, self.noise)
        logs, lengths, norm, errors, noise = (values.gather(1, order) for values in given)
        t = _rows(self.t, order)
        a = a.gather(2, order[:, None].expand_as(a)) / _divisor(lengths)[:, None]
        q, r = torch.linalg.qr(a)
        missing = (
            r.shape[2] - r.shape[1]
        )  # where J leads to fewer dimensions than there are columns
        q, r = pad(q, (0, missing)), pad(r, (0, 0, 0, missing))
        # Row i of the new T is the sum over j of R_ij exp(logs_j) T_j, in units of its largest term.
        terms = r.abs().log() + logs[:, None]
        largest = terms.amax(dim=2)
        unit = torch.where(largest > -math.inf, largest, 0)[..., None]
        weights = (terms - unit).exp() * r.sign()
        rounding = ROUNDING * norm / _divisor(lengths)
        rounding = torch.where(logs > -math.inf, rounding, 0)
        # Of column j in row i, either as it stands, or what is left once row j has taken its part.
        reach = rounding[:, None] * (logs[:, None] - unit).clamp(max=FINITE).exp()
        eliminated = torch.minimum(reach, rounding[:, None] * _left_by_elimination(r))
        reach = torch.where(torch.ones_like(r, dtype=torch.bool).tril(), eliminated, reach)
        errors = (weights.abs() * errors[:, None]).amax(dim=2) + reach.amax(dim=2)
        noise = (weights.abs() * noise[:, None]).amax(dim=2) + EPS
        rows, lengths = _of_length_one(weights @ t)
        errors, noise = errors / _divisor(lengths), noise / _divisor(lengths)
        return Graded(q, largest + lengths.log(), rows, errors, noise)

    def log_singular_values(self) -> tuple[Tensor, Tensor]:
        """(B,K) natural logarithms, falling, and which of them are resolved.

        One that is not is zero, or no more than what rounding has left of larger ones.
        """
        return self._directly() or self._by_rotations()

    def _directly(self) -> tuple[Tensor, Tensor] | None:
        """By LAPACK, which is right to eps times the largest; None where that is not enough."""
        top = self.logs.amax(dim=1, keepdim=True)
        if not top.isfinite().all():
            return None
        sizes = (self.logs - top).exp()
        values = torch.linalg.svdvals(sizes[..., None] * self.t)
        noise = (self.errors * sizes).amax(dim=1).clamp(min=EPS * values.shape[1])
        if not (noise <= EXACT * values[:, -1]).all():
            return None
        return top + values.log(), torch.ones_like(values, dtype=torch.bool)

    def _by_rotations(self) -> tuple[Tensor, Tensor]:
        """One-sided Jacobi finds the small ones of a graded matrix as exactly as the large ones
        (Demmel & Veselić, 1992). Two QR steps first bring the rows near to orthogonal (Drmač &
        Veselić, 2008)."""
        # Of rows that are nearly dependent what is left may be no more than what they are not known to.
        found = self._turned(torch.maximum(self.errors, self.noise))
        found = found._turned(found.noise)
        logs, errors = _orthogonal_rows(found.logs, found.t, found.errors)
        logs, order = logs.sort(dim=1, descending=True)
        resolved = (errors.gather(1, order) < RESOLVED) & logs.isfinite()
        return logs, resolved.cummin(dim=1).values

    def _turned(self, unknown: Tensor) -> "Graded":
        """Mᵀ, but for its orthonormal columns; ``unknown`` (B,K) is the relative error of each row of T."""
        across = self.t.mT
        start = Graded.start(across)
        sizes = Graded(across, self.logs, start.t, self.errors, start.noise)
        return sizes.after(across, unknown / ROUNDING)


def _orthogonal_rows(logs: Tensor, t: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """Turns pairs of rows of diag(exp(logs)) T until all are orthogonal: the logarithms of their
    lengths, which are then the singular values, and their errors."""
    rounds = _rounds(t.shape[1])
    for _ in range(SWEEPS):
        worst = 0.0
        for first, second in rounds:
            swap = logs[:, second] > logs[:, first]
            i, j = torch.where(swap, second, first), torch.where(swap, first, second)
            upper, lower = _rows(t, i), _rows(t, j)
            larger, smaller = logs.gather(1, i), logs.gather(1, j)
            error, other = errors.gather(1, i), errors.gather(1, j)
            cosine = (upper * lower).sum(dim=2)
            ratio = torch.where(smaller > -math.inf, (smaller - larger).exp(), 0)  # at most 1
            apart = 1 - ratio**2
            # The angle's tangent is ``part`` times the ratio, which alone may be 1e-1000.
            part = 2 * cosine / _divisor(apart + (apart**2 + (2 * ratio * cosine) ** 2).sqrt())
            gain = part * ratio**2
            shrink = -0.5 * torch.log1p((part * ratio) ** 2)
            for places, level, rows, known in (
                (i, larger, upper + gain[..., None] * lower, error + gain.abs() * other),
                (j, smaller, lower - part[..., None] * upper, other + part.abs() * error),
            ):
                rows, lengths = _of_length_one(rows)
                t = t.scatter(1, places[..., None].expand_as(rows), rows)
                logs = logs.scatter(1, places, level + shrink + lengths.log())
                errors = errors.scatter(1, places, known / _divisor(lengths))
            worst = max(worst, float(cosine.abs().amax()))
        if worst < ORTHOGONAL:
            break
    return logs, errors


def _left_by_elimination(r: Tensor) -> Tensor:
    """(B,K,K), [i,j]: what a relative error of column j of QR, of columns of length 1, does to row i of R.

    With errors E it is (I + E R⁻¹) QR, which changes the i-th singular value by the share of its own that
    the i-th diagonal entry of E R⁻¹ is, to first order. Where columns are nearly dependent R⁻¹ is large:
    what is left of one after the earlier ones is then no larger than their rounding errors. For j <= i: the
    row itself is made of the others.
    """
    diagonal = r.diagonal(dim1=1, dim2=2)
    safe = r + torch.diag_embed(torch.where(diagonal.abs() > EPS, 0, EPS - diagonal))
    inverse = torch.linalg.solve_triangular(safe, torch.eye(r.shape[1], dtype=r.dtype), upper=True)
    return inverse.mT.abs()


def _rows(t: Tensor, places: Tensor) -> Tensor:
    return t.gather(1, places[..., None].expand(-1, -1, t.shape[2]))


def _of_length_one(rows: Tensor) -> tuple[Tensor, Tensor]:
    lengths = rows.norm(dim=2)
    return rows / _divisor(lengths)[..., None], lengths


def _divisor(values: Tensor) -> Tensor:
    """1 for a 0, which is divided by itself alone."""
    return torch.where(values > 0, values, 1)


def _rounds(size: int) -> list[tuple[Tensor, Tensor]]:
    """Every pair of ``size`` rows once, in rounds of disjoint ones, as in a tournament."""
    players = list(range(size + size % 2))
    found = []
    for _ in players[1:]:
        half = len(players) // 2
        pairs = zip(players[:half], reversed(players[half:]), strict=True)
        there = [pair for pair in pairs if max(pair) < size]
        if there:
            found.append((torch.tensor([a for a, _ in there]), torch.tensor([b for _, b in there])))
        players = [players[0], players[-1], *players[1:-1]]
    return found
