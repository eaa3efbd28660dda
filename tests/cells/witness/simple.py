"""Networks without gates, or with one number for a gate."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, sigmoid, tanh

from witness import Parameters, States, affine, mv, witness

Phi = Callable[[Tensor], Tensor]


@witness("elman")
def elman(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h' = φ(W x + U h + b). Elman (1990).

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h (H).
    """
    return {"h": phi(affine(p, "h", x, s["h"]))}


@witness("linear")
def linear(p: Parameters, x: Tensor, s: States) -> States:
    """h' = W x + U h + b.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h? (H).
    """
    return {"h": affine(p, "h", x, s["h"])}


@witness("orthogonal-rnn")
def orthogonal_rnn(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h' = φ(W x + U h + b) with U orthogonal, which whoever draws U sees to.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h (H).
    """
    return {"h": phi(affine(p, "h", x, s["h"]))}


@witness("jordan")
def jordan(
    p: Parameters, x: Tensor, s: States, mu: float = 0.0, phi: Phi = tanh, out: Phi = tanh
) -> States:
    """s_t = μ s_{t-1} + y_{t-1}; h_t = φ(W x_t + U s_t + b); y_t = out(U_y h_t + b_y).

    Jordan (1986): state units copy the output and decay by μ; textbooks have μ = 0. His units were
    all logistic. From memory of the paper.

    States: context y (B,O). Output: y.
    Parameters: W_h (H,I); U_h (H,O); b_h (H); U_y (O,H); b_y (O).
    """
    context = mu * s["context"] + s["y"]
    h = phi(affine(p, "h", x, context))
    return {"context": context, "y": out(mv(p["U_y"], h) + p["b_y"])}


@witness("output-recurrent")
def output_recurrent(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """a = b + W o_{t-1} + U x_t; h_t = tanh(a); o_t = c + V h_t, the output being linear.

    Goodfellow, Bengio and Courville (2016), section 10.2, figure 10.4. Their U, W, V, b, c are
    W_h, U_h, U_o, b_h, b_o here.

    States: o (B,O). Output: o.
    Parameters: W_h (H,I); U_h (H,O); b_h (H); U_o (O,H); b_o (O).
    """
    h = phi(affine(p, "h", x, s["o"]))
    return {"o": p["b_o"] + mv(p["U_o"], h)}


@witness("leaky")
def leaky(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h' = α φ(W x + U h + b) + (1-α) h. Tallec and Ollivier (2018), equation of the leaky RNN.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h (H); p_alpha ().
    """
    alpha = p["p_alpha"]
    return {"h": alpha * phi(affine(p, "h", x, s["h"])) + (1 - alpha) * s["h"]}


@witness("gated-leaky")
def gated_leaky(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """g = σ(W_g x + U_g h + b_g); h' = g φ(W x + U h + b) + (1-g) h. Tallec and Ollivier (2018).

    States: h (B,H). Output: h. Parameters: W_h W_g (H,I); U_h U_g (H,H); b_h b_g (H).
    """
    g = sigmoid(affine(p, "g", x, s["h"]))
    return {"h": g * phi(affine(p, "h", x, s["h"])) + (1 - g) * s["h"]}


def _shift(newest: Tensor, history: Tensor) -> Tensor:
    return torch.cat([newest[None], history[:-1]])


@witness("skip-k")
def skip_k(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h_t = φ(W x_t + U h_{t-1} + V h_{t-k} + b), the history being h[0] = h_{t-1}, h[1], ...

    States: h (K,B,H). Output: h. Parameters: W_h (H,I); U_h U_k (H,H); b_h (H).
    """
    history = s["h"]
    h = phi(affine(p, "h", x, history[0]) + mv(p["U_k"], history[-1]))
    return {"h": _shift(h, history)}


@witness("skip-only-k")
def skip_only_k(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h_t = φ(W x_t + V h_{t-k} + b): the only recurrent connection is k steps long.

    Chang et al. (2017), "Dilated recurrent neural networks".

    States: h (K,B,H). Output: h. Parameters: W_h (H,I); U_k (H,H); b_h (H).
    """
    history = s["h"]
    h = phi(mv(p["W_h"], x) + mv(p["U_k"], history[-1]) + p["b_h"])
    return {"h": _shift(h, history)}


@witness("clockwork")
def clockwork(
    p: Parameters, x: Tensor, s: States, periods: Sequence[int] = (1, 2), phi: Phi = tanh
) -> States:
    """Module i with period T_i: h_i' = φ(W_i x + Σ_{T_j >= T_i} U_ij h_j + b_i) if t mod T_i = 0,
    else h_i. Koutnik et al. (2014).

    Modules are of equal size and in the order of ``periods``. ``t`` counts from 0, so that every
    module fires at the first step. U_h is read only where a module hears an equal or a slower one.

    States: h (B,H); t (). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h? (H).
    """
    h, t = s["h"], int(s["t"])
    size = h.shape[1] // len(periods)
    new = h.clone()
    for i, period in enumerate(periods):
        if t % period:
            continue
        rows = slice(i * size, (i + 1) * size)
        a = mv(p["W_h"][rows], x) + (p["b_h"][rows] if "b_h" in p else 0)
        for j, slower in enumerate(periods):
            if slower >= period:
                columns = slice(j * size, (j + 1) * size)
                a = a + mv(p["U_h"][rows, columns], h[:, columns])
        new[:, rows] = phi(a)
    return {"h": new, "t": s["t"] + 1}


@witness("scrn")
def scrn(p: Parameters, x: Tensor, s: States, alpha: float = 0.95, phi: Phi = sigmoid) -> States:
    """s_t = (1-α) B x_t + α s_{t-1}; h_t = σ(P s_t + A x_t + R h_{t-1}). Mikolov et al. (2014).

    No biases. Their B, P, A, R are W_s, U_s, W_h, U_h. h hears the new s, as the paper prints; the
    authors' released code feeds it the old one.

    States: h (B,H); s (B,S). Output: h. Parameters: W_s (S,I); U_s (H,S); W_h (H,I); U_h (H,H).
    """
    slow = (1 - alpha) * mv(p["W_s"], x) + alpha * s["s"]
    return {"s": slow, "h": phi(mv(p["U_s"], slow) + mv(p["W_h"], x) + mv(p["U_h"], s["h"]))}


@witness("lt-rnn")
def lt_rnn(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h' = φ(V x + b) + U h: the transition is linear. Henaff, Szlam and LeCun (2016).

    Their V is W_h. Not re-read in the paper, which of its nonlinearities it ran included.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h (H).
    """
    return {"h": phi(mv(p["W_h"], x) + p["b_h"]) + mv(p["U_h"], s["h"])}


def _antisymmetric(p: Parameters, gamma: float) -> Tensor:
    w = p["U_h"]
    return w - w.T - gamma * torch.eye(len(w), dtype=w.dtype)


@witness("antisymmetric")
def antisymmetric(
    p: Parameters, x: Tensor, s: States, epsilon: float = 0.01, gamma: float = 0.01
) -> States:
    """h' = h + ε tanh((W - Wᵀ - γI) h + V x + b). Chang, Chen, Haber and Chi (2019).

    Their W and V are U_h and W_h.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h (H).
    """
    a = mv(_antisymmetric(p, gamma), s["h"]) + mv(p["W_h"], x) + p["b_h"]
    return {"h": s["h"] + epsilon * tanh(a)}


@witness("residual")
def residual(p: Parameters, x: Tensor, s: States, epsilon: float = 0.01) -> States:
    """h' = h + ε tanh(U h + V x + b): Euler's step of a network whose matrix is free. V is W_h.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h (H).
    """
    return {"h": s["h"] + epsilon * tanh(mv(p["U_h"], s["h"]) + mv(p["W_h"], x) + p["b_h"])}


@witness("gated-antisymmetric")
def gated_antisymmetric(
    p: Parameters, x: Tensor, s: States, epsilon: float = 0.01, gamma: float = 0.01
) -> States:
    """A = W - Wᵀ - γI; z = σ(A h + V_z x + b_z); h' = h + ε z ⊙ tanh(A h + V_h x + b_h).

    Chang, Chen, Haber and Chi (2019): the gate shares W with the candidate.

    States: h (B,H). Output: h. Parameters: W_h W_z (H,I); U_h (H,H); b_h b_z (H).
    """
    heard = mv(_antisymmetric(p, gamma), s["h"])
    z = sigmoid(heard + mv(p["W_z"], x) + p["b_z"])
    return {"h": s["h"] + epsilon * z * tanh(heard + mv(p["W_h"], x) + p["b_h"])}


@witness("minimal-rnn")
def minimal_rnn(p: Parameters, x: Tensor, s: States) -> States:
    """z = tanh(W_z x + b_z); u = σ(U_h h + U_z z + b_u); h' = u h + (1-u) z. Chen (2017).

    States: h (B,H). Output: h. Parameters: W_z (H,I); U_h U_z (H,H); b_z b_u (H).
    """
    z = tanh(mv(p["W_z"], x) + p["b_z"])
    u = sigmoid(mv(p["U_h"], s["h"]) + mv(p["U_z"], z) + p["b_u"])
    return {"h": u * s["h"] + (1 - u) * z}


@witness("indrnn")
def indrnn(p: Parameters, x: Tensor, s: States, phi: Phi = torch.relu) -> States:
    """h' = relu(W x + u ⊙ h + b). Li et al. (2018), code IndRNN_onlyrecurrent.py.

    States: h (B,H). Output: h. Parameters: W_h (H,I); p_u b_h (H).
    """
    return {"h": phi(mv(p["W_h"], x) + p["p_u"] * s["h"] + p["b_h"])}


@witness("fastrnn")
def fastrnn(p: Parameters, x: Tensor, s: States, phi: Phi = tanh) -> States:
    """h~ = tanh(W x + U h + b); h' = σ(β) h + σ(α) h~, α and β numbers. Kusupati et al. (2018).

    As in the authors' EdgeML; they start at α = -3, β = 3.

    States: h (B,H). Output: h.
    Parameters: W_h (H,I); U_h (H,H); b_h (H); p_alpha p_beta ().
    """
    c = phi(affine(p, "h", x, s["h"]))
    return {"h": sigmoid(p["p_beta"]) * s["h"] + sigmoid(p["p_alpha"]) * c}


@witness("influence")
def influence(p: Parameters, x: Tensor, s: States) -> States:
    """s ← A s + (θ, …, θ, -θ, …, -θ): A is 1/2 on the diagonal and the superdiagonal, 10 signs are
    positive. Tallec & Ollivier (2017), influence balancing; n = 23, and no input: x = 1.

    States: s (B,H). Output: s. Parameters: theta ().
    """
    last = s["s"].shape[1] - 1
    push = p["theta"] * x.sum(1)
    units = []
    for i in range(last + 1):
        above = s["s"][:, i + 1] if i < last else 0
        units.append((s["s"][:, i] + above) / 2 + (push if i < 10 else -push))
    return {"s": torch.stack(units, dim=1)}
