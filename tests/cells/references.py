"""Recurrent networks written out from their papers, one sequence and one step at a time.

Nothing here knows of the equation language or of an engine. Each function takes the parameters by
the names of the catalogue, x (T,B,I) and the initial states (B,H), and returns the outputs (T,B,H)
and the last states. ``nudge(state, t, value)`` may change a state right after it has been computed,
which is what a derivative with respect to that state means.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]
State = dict[str, Tensor]
Nudge = Callable[[str, int, Tensor], Tensor]
Phi = Callable[[Tensor], Tensor]

LEAKY_SLOPE = 0.01  # torch.nn.LeakyReLU's default


def leave(state: str, t: int, value: Tensor) -> Tensor:
    return value


PHIS: dict[str, Phi] = {
    "tanh": torch.tanh,
    "relu": torch.nn.functional.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
    "leaky-relu": lambda a: torch.nn.functional.leaky_relu(a, LEAKY_SLOPE),
    # torch.nn.Hardsigmoid's definition; its derivative there has 1/6 in single precision
    "hard-sigmoid": lambda a: torch.nn.functional.relu6(a + 3) / 6,
    "hard-tanh": torch.nn.functional.hardtanh,
    # torch's elu and selu compute e^a - 1 by a difference, which near 0 keeps few digits
    "elu": lambda a: torch.where(a > 0, a, torch.expm1(a.clamp(max=0))),
    "selu": lambda a: (
        1.0507009873554805 * torch.where(a > 0, a, 1.6732632423543772 * torch.expm1(a.clamp(max=0)))
    ),
    "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
    "softsign": torch.nn.functional.softsign,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "sine": torch.sin,
    "scaled-tanh": lambda a: 1.7159 * torch.tanh(2 * a / 3),
}


def _each_sequence(
    step: Callable[[Tensor, State, int], State], output: str, x: Tensor, start: State
) -> tuple[Tensor, State]:
    steps, batch, _ = x.shape
    sequences, ends = [], []
    for b in range(batch):
        state = {name: value[b] for name, value in start.items()}
        outputs = []
        for t in range(steps):
            state = step(x[t, b], state, t)
            outputs.append(state[output])
        sequences.append(torch.stack(outputs))
        ends.append(state)
    last = {name: torch.stack([end[name] for end in ends]) for name in start}
    return torch.stack(sequences, dim=1), last


def elman(
    p: Parameters, x: Tensor, start: State, phi: Phi = torch.tanh, nudge: Nudge = leave
) -> tuple[Tensor, State]:
    """h_t = φ(W x_t + U h_{t-1} + b). Elman (1990)."""

    def step(x_t: Tensor, s: State, t: int) -> State:
        return {"h": nudge("h", t, phi(p["W"] @ x_t + p["U"] @ s["h"] + p["b"]))}

    return _each_sequence(step, "h", x, start)


def lstm(
    p: Parameters, x: Tensor, start: State, phi: Phi = torch.tanh, nudge: Nudge = leave
) -> tuple[Tensor, State]:
    """Gates i, f, o and the candidate g; c_t = f c_{t-1} + i g; h_t = o φ(c_t). Gers et al. (2000)."""

    def step(x_t: Tensor, s: State, t: int) -> State:
        def pre(k: str) -> Tensor:
            return p[f"W_{k}"] @ x_t + p[f"U_{k}"] @ s["h"] + p[f"b_{k}"]

        i, f, o = torch.sigmoid(pre("i")), torch.sigmoid(pre("f")), torch.sigmoid(pre("o"))
        c = nudge("c", t, f * s["c"] + i * phi(pre("g")))
        return {"h": nudge("h", t, o * phi(c)), "c": c}

    return _each_sequence(step, "h", x, start)


def gru(
    p: Parameters, x: Tensor, start: State, phi: Phi = torch.tanh, nudge: Nudge = leave
) -> tuple[Tensor, State]:
    """h̃ = φ(W x + U (r ⊙ h_{t-1})); h_t = z h_{t-1} + (1 - z) h̃. Cho et al. (2014), eqs. 5-8.

    The paper leaves the biases out; here each of the three has one.
    """

    def step(x_t: Tensor, s: State, t: int) -> State:
        h = s["h"]
        r = torch.sigmoid(p["W_r"] @ x_t + p["U_r"] @ h + p["b_r"])
        z = torch.sigmoid(p["W_z"] @ x_t + p["U_z"] @ h + p["b_z"])
        candidate = phi(p["W_n"] @ x_t + p["U_n"] @ (r * h) + p["b_n"])
        return {"h": nudge("h", t, z * h + (1 - z) * candidate)}

    return _each_sequence(step, "h", x, start)


def gru_torch(
    p: Parameters, x: Tensor, start: State, phi: Phi = torch.tanh, nudge: Nudge = leave
) -> tuple[Tensor, State]:
    """n = φ(W x + b + r ⊙ (U h_{t-1} + b_hn)), else as `gru`. torch.nn.GRU's documentation."""

    def step(x_t: Tensor, s: State, t: int) -> State:
        h = s["h"]
        r = torch.sigmoid(p["W_r"] @ x_t + p["U_r"] @ h + p["b_r"])
        z = torch.sigmoid(p["W_z"] @ x_t + p["U_z"] @ h + p["b_z"])
        n = phi(p["W_n"] @ x_t + p["b_n"] + r * (p["U_n"] @ h + p["b_hn"]))
        return {"h": nudge("h", t, (1 - z) * n + z * h)}

    return _each_sequence(step, "h", x, start)


LOOPS = {"elman": elman, "lstm": lstm, "gru": gru, "gru-torch": gru_torch}


def lstm_backward(
    p: Mapping[str, np.ndarray],
    x: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    dh_direct: np.ndarray,
) -> dict[str, np.ndarray]:
    """Backpropagation through time of one tanh LSTM sequence, by hand, without autograd.

    The δ equations of Greff et al. (2017), section II.B, without peepholes. x (T,I), h0 and c0
    (H,), dh_direct (T,H) the loss's immediate derivative at each output. Returns the gradient of
    every parameter, of "x", "h0" and "c0", and the totals δh_t and δc_t as "h" and "c" (T,H).
    """

    def sigma(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    steps = len(x)
    hs, cs, gates = [h0], [c0], []
    for t in range(steps):
        a = {k: p[f"W_{k}"] @ x[t] + p[f"U_{k}"] @ hs[-1] + p[f"b_{k}"] for k in "ifgo"}
        v = {k: np.tanh(a[k]) if k == "g" else sigma(a[k]) for k in "ifgo"}
        cs.append(v["f"] * cs[-1] + v["i"] * v["g"])
        hs.append(v["o"] * np.tanh(cs[-1]))
        gates.append(v)

    grads = {name: np.zeros_like(value) for name, value in p.items()}
    grads |= {"x": np.zeros_like(x), "h": np.zeros_like(dh_direct), "c": np.zeros_like(dh_direct)}
    dh_later, dc_later = np.zeros_like(h0), np.zeros_like(c0)
    for t in reversed(range(steps)):
        v, tanh_c = gates[t], np.tanh(cs[t + 1])
        dh = dh_direct[t] + dh_later
        dc = dh * v["o"] * (1 - tanh_c**2) + dc_later
        da = {
            "o": dh * tanh_c * v["o"] * (1 - v["o"]),
            "f": dc * cs[t] * v["f"] * (1 - v["f"]),
            "i": dc * v["g"] * v["i"] * (1 - v["i"]),
            "g": dc * v["i"] * (1 - v["g"] ** 2),
        }
        grads["h"][t], grads["c"][t] = dh, dc
        for k, delta in da.items():
            grads[f"W_{k}"] += np.outer(delta, x[t])
            grads[f"U_{k}"] += np.outer(delta, hs[t])
            grads[f"b_{k}"] += delta
            grads["x"][t] += p[f"W_{k}"].T @ delta
        dh_later = sum(p[f"U_{k}"].T @ delta for k, delta in da.items())
        dc_later = dc * v["f"]
    return grads | {"h0": dh_later, "c0": dc_later}
