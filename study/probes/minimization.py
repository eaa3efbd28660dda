"""Minimizing ½‖F(s) - s‖² from many states at once."""

import torch
from torch import Tensor

from study.probes.step_map import StepMap

STEPS = 200
ROUNDING = 1e-14  # of the scale: a residual that no step makes smaller
FLAT = 1e-8  # a step that lessens q by less than this share of it was the last
STEEPEST = 1e12  # of the damping: no step in any direction helps
NUMBERS = 1 << 22  # of Jacobians that are held at a time


def minimized(step: StepMap, starts: Tensor, scale: float) -> Tensor:
    """starts (n,N) -> where each ends, (n,N).

    Levenberg-Marquardt: δ = -(JᵀJ + μI)⁻¹Jᵀr with r = F(s) - s, J = ∂r/∂s and μ in proportion to ‖r‖,
    which converges quadratically also where zeros are not isolated, as on a line attractor (Fan & Yuan,
    2005). The factor falls after a step that helps and rises after one that does not,
    which is not taken. ``scale`` is a norm that states have.
    """
    size = len(step.cell.states) * step.hidden
    parts = starts.split(max(1, NUMBERS // size**2))
    return torch.cat([_minimized(step, part, scale or 1.0) for part in parts])


def _minimized(step: StepMap, starts: Tensor, scale: float) -> Tensor:
    s = starts.clone()
    r = step(s) - s
    damping = torch.ones(len(s), dtype=s.dtype)
    going = torch.ones(len(s), dtype=torch.bool)
    unit = torch.eye(s.shape[1], dtype=s.dtype)
    for _ in range(STEPS):
        going &= r.norm(dim=-1) > ROUNDING * scale
        rows = going.nonzero()[:, 0]
        if not len(rows):
            break
        jacobian = step.jacobian(s[rows]) - unit
        before = r[rows].square().sum(-1)
        mu = damping[rows] * (before.sqrt() / scale).clamp(max=1)
        normal = jacobian.mT @ jacobian + mu[:, None, None] * unit
        factor, failed = torch.linalg.cholesky_ex(normal)
        slope = jacobian.mT @ r[rows][..., None]
        tried = s[rows] - torch.cholesky_solve(slope, factor)[..., 0]
        residual = step(tried) - tried
        after = residual.square().sum(-1)
        better = (after < before) & (failed == 0)
        s[rows[better]], r[rows[better]] = tried[better], residual[better]
        damping[rows] = torch.where(better, (damping[rows] / 4).clamp(min=1e-8), damping[rows] * 4)
        flat = better & (before - after < FLAT * before)
        going[rows[flat]] = False
        going &= damping < STEEPEST
    return s
