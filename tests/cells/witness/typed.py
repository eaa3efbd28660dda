"""Strongly typed cells: the memory is never multiplied by a matrix. Balduzzi and Ghifary (2016).

V of the paper acts on the last input, which is a state, x (B,I), zeros before the first step.
"""

from torch import Tensor, sigmoid, tanh

from witness import Parameters, States, affine, mv, witness


@witness("trnn")
def trnn(p: Parameters, x: Tensor, s: States) -> States:
    """z = W x; f = σ(V x + b); h' = f h + (1-f) z. Balduzzi and Ghifary (2016).

    Their V is W_f; z has no bias.

    States: h (B,H). Output: h. Parameters: W_z W_f (H,I); b_f (H).
    """
    z = mv(p["W_z"], x)
    f = sigmoid(mv(p["W_f"], x) + p["b_f"])
    return {"h": f * s["h"] + (1 - f) * z}


@witness("tgru")
def tgru(p: Parameters, x: Tensor, s: States) -> States:
    """z = V_z x₋ + W_z x + b_z; f = σ(V_f x₋ + W_f x + b_f); o = tanh(V_o x₋ + W_o x + b_o);
    h' = f h + z o. Balduzzi and Ghifary (2016).

    States: h (B,H); x (B,I). Output: h.
    Parameters: W_z W_f W_o U_z U_f U_o (H,I); b_z b_f b_o (H).
    """
    z = affine(p, "z", x, s["x"])
    f = sigmoid(affine(p, "f", x, s["x"]))
    o = tanh(affine(p, "o", x, s["x"]))
    return {"h": f * s["h"] + z * o, "x": x}


@witness("tlstm")
def tlstm(p: Parameters, x: Tensor, s: States) -> States:
    """z, f, o as tgru's; c' = f c + (1-f) z; h' = c' o. Balduzzi and Ghifary (2016).

    States: h c (B,H); x (B,I). Output: h.
    Parameters: W_z W_f W_o U_z U_f U_o (H,I); b_z b_f b_o (H).
    """
    z = affine(p, "z", x, s["x"])
    f = sigmoid(affine(p, "f", x, s["x"]))
    o = tanh(affine(p, "o", x, s["x"]))
    c = f * s["c"] + (1 - f) * z
    return {"h": c * o, "c": c, "x": x}
