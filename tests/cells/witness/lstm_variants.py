"""Cells with a memory c beside h that are not in the Search Space Odyssey."""

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn.functional import logsigmoid

from witness import Parameters, States, affine, mv, witness


@witness("lstm-wm")
def lstm_wm(p: Parameters, x: Tensor, s: States) -> States:
    """i, f = σ(W x + U h + tanh(V c) + b), o the same on c'; c' = f c + i g; h' = o tanh(c').

    Landi, Baraldi, Cornia and Cucchiara (2021), "Working memory connections for LSTM". Their W_ic,
    W_fc, W_oc are U_ci, U_cf, U_co.

    States: h c (B,H). Output: h.
    Parameters: W_i W_f W_g W_o (H,I); U_i U_f U_g U_o U_ci U_cf U_co (H,H); b_i b_f b_g b_o (H).
    """
    h = s["h"]
    i = sigmoid(affine(p, "i", x, h) + tanh(mv(p["U_ci"], s["c"])))
    f = sigmoid(affine(p, "f", x, h) + tanh(mv(p["U_cf"], s["c"])))
    c = f * s["c"] + i * tanh(affine(p, "g", x, h))
    o = sigmoid(affine(p, "o", x, h) + tanh(mv(p["U_co"], c)))
    return {"c": c, "h": o * tanh(c)}


@witness("mlstm")
def mlstm(p: Parameters, x: Tensor, s: States) -> States:
    """m = (W_m x) ⊙ (U_m h); an LSTM whose gates hear x and m instead of x and h.

    Krause, Lu, Murray and Renals (2016), authors' mLSTMWN.py. m has no bias.

    States: h c (B,H). Output: h.
    Parameters: W_m W_i W_f W_g W_o (H,I); U_m U_i U_f U_g U_o (H,H); b_i b_f b_g b_o (H).
    """
    m = mv(p["W_m"], x) * mv(p["U_m"], s["h"])
    i = sigmoid(affine(p, "i", x, m))
    f = sigmoid(affine(p, "f", x, m))
    o = sigmoid(affine(p, "o", x, m))
    c = f * s["c"] + i * tanh(affine(p, "g", x, m))
    return {"c": c, "h": o * tanh(c)}


@witness("slstm")
def slstm(p: Parameters, x: Tensor, s: States) -> States:
    """m' = max(i~, log σ(f~) + m); i = exp(i~-m'); f = exp(log σ(f~) + m - m');
    c' = f c + i tanh(z~); n' = f n + i; h' = σ(o~) c'/n'. Beck et al. (2024).

    As in the authors' slstm.py: while all of n is 0, which is the first step, m' = i~. Its later
    version holds i and f at 1 or below, which only the first step needs. One head, so that U is a
    full matrix.

    States: h c n m (B,H). Output: h.
    Parameters: W_i W_f W_z W_o (H,I); U_i U_f U_z U_o (H,H); b_i b_f b_z b_o (H).
    """
    i_raw, f_raw, z_raw, o_raw = (affine(p, k, x, s["h"]) for k in "ifzo")
    log_f_plus_m = s["m"] + logsigmoid(f_raw)
    m = i_raw if bool((s["n"] == 0).all()) else torch.maximum(i_raw, log_f_plus_m)
    i = torch.exp(i_raw - m).clamp(max=1)
    f = torch.exp(log_f_plus_m - m).clamp(max=1)
    c = f * s["c"] + i * tanh(z_raw)
    n = f * s["n"] + i
    return {"c": c, "n": n, "m": m, "h": sigmoid(o_raw) * c / n}


@witness("minlstm")
def minlstm(p: Parameters, x: Tensor, s: States) -> States:
    """f, i = σ(W x + b); f' = f/(f+i), i' = i/(f+i); h' = f' h + i' g(W_h x + b_h).

    Feng et al. (2024), "Were RNNs all we needed?"; g(a) = a + 1/2 for a >= 0, else σ(a).

    States: h (B,H). Output: h. Parameters: W_f W_i W_h (H,I); b_f b_i b_h (H).
    """
    f, i = (sigmoid(mv(p[f"W_{k}"], x) + p[f"b_{k}"]) for k in "fi")
    a = mv(p["W_h"], x) + p["b_h"]
    candidate = torch.where(a >= 0, a + 0.5, sigmoid(a))
    return {"h": f / (f + i) * s["h"] + i / (f + i) * candidate}


@witness("janet")
def janet(p: Parameters, x: Tensor, s: States, beta: float = 1.0) -> States:
    """s = W_f x + U_f h + b_f; h' = σ(s) h + (1 - σ(s-β)) tanh(W_c x + U_c h + b_c), β = 1.

    Van der Westhuizen and Lasenby (2018), and their rnn_cells.py. The cell state is the output.

    States: h (B,H). Output: h. Parameters: W_f W_c (H,I); U_f U_c (H,H); b_f b_c (H).
    """
    net = affine(p, "f", x, s["h"])
    candidate = tanh(affine(p, "c", x, s["h"]))
    return {"h": sigmoid(net) * s["h"] + (1 - sigmoid(net - beta)) * candidate}


@witness("ran")
def ran(p: Parameters, x: Tensor, s: States) -> States:
    """c~ = W_c x; i, f = σ(W x + U h + b); c' = i c~ + f c; h' = tanh(c').

    Lee, Levy and Zettlemoyer (2017), authors' ran.py: no bias in c~, gates hear h.

    States: h c (B,H). Output: h.
    Parameters: W_c W_i W_f (H,I); U_i U_f (H,H); b_i b_f (H).
    """
    i = sigmoid(affine(p, "i", x, s["h"]))
    f = sigmoid(affine(p, "f", x, s["h"]))
    c = i * mv(p["W_c"], x) + f * s["c"]
    return {"c": c, "h": tanh(c)}


@witness("nas")
def nas(p: Parameters, x: Tensor, s: States) -> States:
    """The cell found by Zoph and Le (2017), after TensorFlow's NASCell.

    A bias, if any, belongs to the hidden side: the fourth unit is relu((W_4 x)(U_4 h + b_4)).

    States: h c (B,H). Output: h.
    Parameters: W_1 W_2 W_3 W_4 W_5 W_6 W_7 W_8 (H,I); U_1 U_2 U_3 U_4 U_5 U_6 U_7 U_8 (H,H);
    b_1? b_2? b_3? b_4? b_5? b_6? b_7? b_8? (H).
    """
    inputs = [mv(p[f"W_{k}"], x) for k in range(1, 9)]
    hidden = [mv(p[f"U_{k}"], s["h"]) + p.get(f"b_{k}", 0) for k in range(1, 9)]
    layer1 = [
        sigmoid(inputs[0] + hidden[0]),
        torch.relu(inputs[1] + hidden[1]),
        sigmoid(inputs[2] + hidden[2]),
        torch.relu(inputs[3] * hidden[3]),
        tanh(inputs[4] + hidden[4]),
        sigmoid(inputs[5] + hidden[5]),
        tanh(inputs[6] + hidden[6]),
        sigmoid(inputs[7] + hidden[7]),
    ]
    l2_0 = tanh(layer1[0] * layer1[1])
    l2_1 = tanh(layer1[2] + layer1[3])
    l2_2 = tanh(layer1[4] * layer1[5])
    l2_3 = sigmoid(layer1[6] + layer1[7])
    l2_0 = tanh(l2_0 + s["c"])
    new_c = l2_0 * l2_1
    l3_1 = tanh(l2_2 + l2_3)
    return {"c": new_c, "h": tanh(new_c * l3_1)}
