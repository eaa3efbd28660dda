"""LSTM: 1997, with peepholes and the ablations of the Search Space Odyssey, Jozefowicz's."""

from collections.abc import Callable

import torch
from torch import Tensor, sigmoid, tanh

from witness import Parameters, States, affine, mv, witness

Phi = Callable[[Tensor], Tensor]


def identity(a: Tensor) -> Tensor:
    return a


@witness("lstm")
def lstm(p: Parameters, x: Tensor, s: States) -> States:
    """i, f, o = σ(W x + U h + b); g = tanh(..); c' = f c + i g; h' = o tanh(c').

    Gers, Schmidhuber and Cummins (2000), as torch.nn.LSTM has it.

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); b_i b_f b_g b_o (H).
    """
    h = s["h"]
    i = sigmoid(affine(p, "i", x, h))
    f = sigmoid(affine(p, "f", x, h))
    g = tanh(affine(p, "g", x, h))
    o = sigmoid(affine(p, "o", x, h))
    c = f * s["c"] + i * g
    return {"c": c, "h": o * tanh(c)}


@witness("lstm-1997")
def lstm_1997(p: Parameters, x: Tensor, s: States) -> States:
    """c' = c + y_in g(net_c); y' = y_out h(c'), g in [-2,2], h in [-1,1], no forget gate.

    Hochreiter and Schmidhuber (1997): g(x) = 4/(1+exp(-x)) - 2, h(x) = 2/(1+exp(-x)) - 1. All nets
    hear the input and the cells' last outputs.

    States: h c (B,H). Output: h.
    Parameters: W_i W_g W_o (H,I); U_i U_g U_o (H,H); b_i b_g b_o (H).
    """
    y = s["h"]
    y_in = 1 / (1 + torch.exp(-affine(p, "i", x, y)))
    y_out = 1 / (1 + torch.exp(-affine(p, "o", x, y)))
    g = 4 / (1 + torch.exp(-affine(p, "g", x, y))) - 2
    c = s["c"] + y_in * g
    return {"c": c, "h": y_out * (2 / (1 + torch.exp(-c)) - 1)}


def _vanilla(
    p: Parameters,
    x: Tensor,
    s: States,
    *,
    gates: str = "ifo",
    g: Phi = tanh,
    h: Phi = tanh,
    peepholes: bool = True,
    coupled: bool = False,
    full: bool = False,
) -> States:
    """Greff et al. (2017), equations of section II, in the paper's symbols: y, z, i, f, o, c.

    Their W, R, p, b are W_, U_, p_, b_; their z is called g, as is its parameters' letter.
    ``gates`` are those that are there; a missing one is 1.
    """
    y, c_old = s["h"], s["c"]
    one = torch.ones_like(c_old)

    def gate(a: str, c: Tensor) -> Tensor:
        if a not in gates:
            return one
        net = mv(p[f"W_{a}"], x) + mv(p[f"U_{a}"], y) + p[f"b_{a}"]
        if peepholes:
            net = net + p[f"p_{a}"] * c
        if full:
            for b in "ifo":
                net = net + mv(p[f"U_{a}{b}"], s[b])
        return sigmoid(net)

    z = g(mv(p["W_g"], x) + mv(p["U_g"], y) + p["b_g"])
    i = gate("i", c_old)
    f = 1 - i if coupled else gate("f", c_old)
    c = z * i + c_old * f
    o = gate("o", c)
    new = {"c": c, "h": h(c) * o}
    return new | {"i": i, "f": f, "o": o} if full else new


@witness("lstm-peephole")
def lstm_peephole(p: Parameters, x: Tensor, s: States) -> States:
    """z = g(W_z x + R_z y + b_z); i, f see c, o sees the new c'; c' = z i + c f; y' = h(c') o.

    The "vanilla" V of Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); p_i p_f p_o b_i b_f b_g b_o (H).
    """
    return _vanilla(p, x, s)


@witness("lstm-nig")
def nig(p: Parameters, x: Tensor, s: States) -> States:
    """V with i = 1. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_f W_g W_o (H,I); U_f U_g U_o (H,H); p_f p_o b_f b_g b_o (H).
    """
    return _vanilla(p, x, s, gates="fo")


@witness("lstm-nfg")
def nfg(p: Parameters, x: Tensor, s: States) -> States:
    """V with f = 1. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_g W_o (H,I); U_i U_g U_o (H,H); p_i p_o b_i b_g b_o (H).
    """
    return _vanilla(p, x, s, gates="io")


@witness("lstm-nog")
def nog(p: Parameters, x: Tensor, s: States) -> States:
    """V with o = 1. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g (H,I); U_i U_f U_g (H,H); p_i p_f b_i b_f b_g (H).
    """
    return _vanilla(p, x, s, gates="if")


@witness("lstm-niaf")
def niaf(p: Parameters, x: Tensor, s: States) -> States:
    """V with g(x) = x. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); p_i p_f p_o b_i b_f b_g b_o (H).
    """
    return _vanilla(p, x, s, g=identity)


@witness("lstm-noaf")
def noaf(p: Parameters, x: Tensor, s: States) -> States:
    """V with h(x) = x. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); p_i p_f p_o b_i b_f b_g b_o (H).
    """
    return _vanilla(p, x, s, h=identity)


@witness("lstm-np")
def no_peepholes(p: Parameters, x: Tensor, s: States) -> States:
    """V without peepholes. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); b_i b_f b_g b_o (H).
    """
    return _vanilla(p, x, s, peepholes=False)


@witness("lstm-cifg")
def cifg(p: Parameters, x: Tensor, s: States) -> States:
    """V with f = 1 - i. Greff et al. (2017).

    States: h c (B,H). Output: h.
    Parameters: W_i W_g W_o (H,I); U_i U_g U_o (H,H); p_i p_o b_i b_g b_o (H).
    """
    return _vanilla(p, x, s, gates="io", coupled=True)


@witness("lstm-fgr")
def fgr(p: Parameters, x: Tensor, s: States) -> States:
    """V whose gates a also hear Σ_b R_ab b_{t-1}, b over i, f, o. Greff et al. (2017).

    U_ab carries the last activation of gate b into gate a. Gates start at 0.

    States: h c i f o (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); p_i p_f p_o b_i b_f b_g b_o (H);
    U_ii U_if U_io U_fi U_ff U_fo U_oi U_of U_oo (H,H).
    """
    return _vanilla(p, x, s, full=True)


def _jozefowicz(p: Parameters, x: Tensor, s: States, gates: str, out: Phi) -> States:
    """Jozefowicz, Zaremba and Sutskever (2015), their names on the left, their gate j being i here.

    i_t = tanh(..) is the candidate, j_t = sigm(..) the input gate, o_t = tanh(..) as printed.
    """
    h = s["h"]
    one = torch.ones_like(h)
    i_t = tanh(affine(p, "g", x, h))
    j_t = sigmoid(affine(p, "i", x, h)) if "i" in gates else one
    f_t = sigmoid(affine(p, "f", x, h)) if "f" in gates else one
    o_t = out(affine(p, "o", x, h)) if "o" in gates else one
    c = s["c"] * f_t + i_t * j_t
    return {"c": c, "h": tanh(c) * o_t}


@witness("lstm-f")
def lstm_f(p: Parameters, x: Tensor, s: States, out: Phi = tanh) -> States:
    """Jozefowicz et al. (2015) without a forget gate: f = 1; o = tanh(..) as printed.

    States: h c (B,H). Output: h.
    Parameters: W_i W_g W_o (H,I); U_i U_g U_o (H,H); b_i b_g b_o (H).
    """
    return _jozefowicz(p, x, s, "io", out)


@witness("lstm-i")
def lstm_i(p: Parameters, x: Tensor, s: States, out: Phi = tanh) -> States:
    """Jozefowicz et al. (2015) without an input gate: j = 1; o = tanh(..) as printed.

    States: h c (B,H). Output: h.
    Parameters: W_f W_g W_o (H,I); U_f U_g U_o (H,H); b_f b_g b_o (H).
    """
    return _jozefowicz(p, x, s, "fo", out)


@witness("lstm-o")
def lstm_o(p: Parameters, x: Tensor, s: States) -> States:
    """Jozefowicz et al. (2015) without an output gate: h' = tanh(c').

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g (H,I); U_i U_f U_g (H,H); b_i b_f b_g (H).
    """
    return _jozefowicz(p, x, s, "if", tanh)


@witness("lstm-b")
def lstm_b(p: Parameters, x: Tensor, s: States, out: Phi = tanh) -> States:
    """Jozefowicz et al. (2015) with all gates; what makes it -b is b_f = 1 at the start.

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o (H,H); b_i b_f b_g b_o (H).
    """
    return _jozefowicz(p, x, s, "ifo", out)


@witness("lstm-relevance")
def lstm_relevance(p: Parameters, x: Tensor, s: States) -> States:
    """c~ = tanh(W_c [Γ_r ⊙ a, x] + b_c); c' = Γ_u c~ + Γ_f c; a' = Γ_o c'.

    Lecture notes (Amidi and Amidi, CS 230), from memory. Γ = σ(W x + U a + b); no tanh on c'.

    States: h c (B,H). Output: h.
    Parameters: W_u W_r W_f W_o W_c (H,I); U_u U_r U_f U_o U_c (H,H); b_u b_r b_f b_o b_c (H).
    """
    a = s["h"]
    update, relevance, forget, output = (sigmoid(affine(p, k, x, a)) for k in "urfo")
    candidate = tanh(affine(p, "c", x, relevance * a))
    c = update * candidate + forget * s["c"]
    return {"c": c, "h": output * c}
