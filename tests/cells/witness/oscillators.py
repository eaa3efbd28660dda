"""Cells that are discretized differential equations, and the linear recurrent unit."""

import torch
from torch import Tensor, sigmoid, tanh

from witness import Parameters, States, affine, mv, witness


@witness("cornn")
def cornn(
    p: Parameters, x: Tensor, s: States, dt: float = 0.05, gamma: float = 1.0, epsilon: float = 1.0
) -> States:
    """z' = z + Δt (tanh(W y + W_z z + V x + b) - γ y - ε z); y' = y + Δt z'. Rusch, Mishra (2021).

    As in the authors' code, where ε z is the old z. Their W, W_z, V are U_y, U_z, W_y.

    States: y z (B,H). Output: y. Parameters: W_y (H,I); U_y U_z (H,H); b_y (H).
    """
    force = tanh(affine(p, "y", x, s["y"]) + mv(p["U_z"], s["z"]))
    z = s["z"] + dt * (force - gamma * s["y"] - epsilon * s["z"])
    return {"z": z, "y": s["y"] + dt * z}


@witness("unicornn")
def unicornn(p: Parameters, x: Tensor, s: States, dt: float = 0.05, alpha: float = 1.0) -> States:
    """z' = z - Δt σ(c) (tanh(w ⊙ y + V x + b) + α y); y' = y + Δt σ(c) z'. Rusch, Mishra (2021).

    Their w and c are p_w and p_c.

    States: y z (B,H). Output: y. Parameters: W_y (H,I); p_w p_c b_y (H).
    """
    step = dt * sigmoid(p["p_c"])
    pull = tanh(p["p_w"] * s["y"] + mv(p["W_y"], x) + p["b_y"])
    z = s["z"] - step * (pull + alpha * s["y"])
    return {"z": z, "y": s["y"] + step * z}


@witness("lem")
def lem(p: Parameters, x: Tensor, s: States, dt: float = 1.0) -> States:
    """Δt_n = Δt σ(W_1 y + V_1 x + b_1); Δt¯_n = Δt σ(W_2 y + V_2 x + b_2);
    z' = (1-Δt_n) z + Δt_n tanh(W_z y + V_z x + b_z);
    y' = (1-Δt¯_n) y + Δt¯_n tanh(W_y z' + V_y x + b_y). Rusch et al. (2022).

    Time steps of z have the letter 1, those of y the letter 2.

    States: y z (B,H). Output: y.
    Parameters: W_1 W_2 W_z W_y (H,I); U_1 U_2 U_z U_y (H,H); b_1 b_2 b_z b_y (H).
    """
    y = s["y"]
    dt_z = dt * sigmoid(affine(p, "1", x, y))
    dt_y = dt * sigmoid(affine(p, "2", x, y))
    z = (1 - dt_z) * s["z"] + dt_z * tanh(affine(p, "z", x, y))
    return {"z": z, "y": (1 - dt_y) * y + dt_y * tanh(affine(p, "y", x, z))}


@witness("lru")
def lru(p: Parameters, x: Tensor, s: States) -> States:
    """λ = exp(-e^ν + i e^θ); h' = λ h + e^γ B x; y = Re(C h') + D ⊙ x. Orvieto et al. (2023).

    h is kept as real and imaginary part. ν, θ, γ are p_nu, p_theta, p_gamma; B = W_re + i W_im;
    C = U_re + i U_im; D is p_D, and y is as wide as x.

    States: re im (B,H); y (B,I). Output: y.
    Parameters: p_nu p_theta p_gamma (H); W_re W_im (H,I); U_re U_im (I,H); p_D (I).
    """
    eigenvalue = torch.exp(torch.complex(-torch.exp(p["p_nu"]), torch.exp(p["p_theta"])))
    b = torch.complex(p["W_re"], p["W_im"])
    c = torch.complex(p["U_re"], p["U_im"])
    h = torch.complex(s["re"], s["im"])
    h = eigenvalue * h + torch.exp(p["p_gamma"]) * mv(b, x.to(b.dtype))
    return {"re": h.real, "im": h.imag, "y": mv(c, h).real + p["p_D"] * x}
