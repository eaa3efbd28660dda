"""GRU and the cells that keep one state behind one or two gates."""

from collections.abc import Callable

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn.functional import softplus

from witness import Parameters, States, affine, mv, witness

Phi = Callable[[Tensor], Tensor]


@witness("gru")
def gru(p: Parameters, x: Tensor, s: States) -> States:
    """r, z = σ(W x + U h + b); h~ = tanh(W x + U (r ⊙ h) + b); h' = z h + (1-z) h~.

    Cho et al. (2014). Chung et al. (2014) exchange z and 1-z.

    States: h (B,H). Output: h.
    Parameters: W_r W_z W_h (H,I); U_r U_z U_h (H,H); b_r b_z b_h (H).
    """
    h = s["h"]
    r = sigmoid(affine(p, "r", x, h))
    z = sigmoid(affine(p, "z", x, h))
    return {"h": z * h + (1 - z) * tanh(affine(p, "h", x, r * h))}


@witness("gru-torch")
def gru_torch(p: Parameters, x: Tensor, s: States) -> States:
    """n = tanh(W_n x + b_n + r ⊙ (U_n h + b_un)); h' = (1-z) n + z h. torch.nn.GRU, cuDNN.

    States: h (B,H). Output: h.
    Parameters: W_r W_z W_n (H,I); U_r U_z U_n (H,H); b_r b_z b_n b_un (H).
    """
    h = s["h"]
    r = sigmoid(affine(p, "r", x, h))
    z = sigmoid(affine(p, "z", x, h))
    n = tanh(mv(p["W_n"], x) + p["b_n"] + r * (mv(p["U_n"], h) + p["b_un"]))
    return {"h": (1 - z) * n + z * h}


def _embedded(p: Parameters, x: Tensor) -> Tensor:
    return mv(p["W_e"], x) if "W_e" in p else x


@witness("mut1")
def mut1(p: Parameters, x: Tensor, s: States) -> States:
    """z = σ(W_xz x + b_z); r = σ(W_xr x + W_hr h + b_r);
    h' = tanh(W_hh (r ⊙ h) + tanh(x) + b_h) ⊙ z + h ⊙ (1-z).

    Jozefowicz, Zaremba and Sutskever (2015). x stands for the embedded input, W_e x, of width H;
    without W_e the input itself must be as wide. W_hh is U_h.

    States: h (B,H). Output: h.
    Parameters: W_e? (H,I); W_z W_r U_r U_h (H,H); b_z b_r b_h (H).
    """
    h, x = s["h"], _embedded(p, x)
    z = sigmoid(mv(p["W_z"], x) + p["b_z"])
    r = sigmoid(affine(p, "r", x, h))
    return {"h": tanh(mv(p["U_h"], r * h) + tanh(x) + p["b_h"]) * z + h * (1 - z)}


@witness("mut2")
def mut2(p: Parameters, x: Tensor, s: States) -> States:
    """z = σ(W_xz x + W_hz h + b_z); r = σ(x + W_hr h + b_r);
    h' = tanh(W_hh (r ⊙ h) + W_xh x + b_h) ⊙ z + h ⊙ (1-z).

    Jozefowicz, Zaremba and Sutskever (2015). x stands for the embedded input, as in mut1.

    States: h (B,H). Output: h.
    Parameters: W_e? (H,I); W_z W_h U_z U_r U_h (H,H); b_z b_r b_h (H).
    """
    h, x = s["h"], _embedded(p, x)
    z = sigmoid(affine(p, "z", x, h))
    r = sigmoid(x + mv(p["U_r"], h) + p["b_r"])
    return {"h": tanh(affine(p, "h", x, r * h)) * z + h * (1 - z)}


@witness("mut3")
def mut3(p: Parameters, x: Tensor, s: States) -> States:
    """z = σ(W_xz x + W_hz tanh(h) + b_z); r = σ(W_xr x + W_hr h + b_r);
    h' = tanh(W_hh (r ⊙ h) + W_xh x + b_h) ⊙ z + h ⊙ (1-z).

    Jozefowicz, Zaremba and Sutskever (2015). x stands for the embedded input, as in mut1.

    States: h (B,H). Output: h.
    Parameters: W_e? (H,I); W_z W_r W_h U_z U_r U_h (H,H); b_z b_r b_h (H).
    """
    h, x = s["h"], _embedded(p, x)
    z = sigmoid(affine(p, "z", x, tanh(h)))
    r = sigmoid(affine(p, "r", x, h))
    return {"h": tanh(affine(p, "h", x, r * h)) * z + h * (1 - z)}


@witness("mingru")
def mingru(p: Parameters, x: Tensor, s: States) -> States:
    """z = σ(W_z x + b_z); h' = (1-z) h + z g(W_h x + b_h). Feng et al. (2024).

    g(a) = a + 1/2 for a >= 0, else σ(a), as in the version they train.

    States: h (B,H). Output: h. Parameters: W_z W_h (H,I); b_z b_h (H).
    """
    z = sigmoid(mv(p["W_z"], x) + p["b_z"])
    a = mv(p["W_h"], x) + p["b_h"]
    return {"h": (1 - z) * s["h"] + z * torch.where(a >= 0, a + 0.5, sigmoid(a))}


@witness("mgu")
def mgu(p: Parameters, x: Tensor, s: States) -> States:
    """f = σ(W_f x + U_f h + b_f); h' = (1-f) h + f tanh(W_h x + U_h (f ⊙ h) + b_h).

    Zhou, Wu, Zhang and Zhou (2016), "Minimal gated unit".

    States: h (B,H). Output: h. Parameters: W_f W_h (H,I); U_f U_h (H,H); b_f b_h (H).
    """
    h = s["h"]
    f = sigmoid(affine(p, "f", x, h))
    return {"h": (1 - f) * h + f * tanh(affine(p, "h", x, f * h))}


@witness("ligru")
def ligru(p: Parameters, x: Tensor, s: States, phi: Phi = torch.relu) -> States:
    """z = σ(W_z x + U_z h + b_z); h' = z h + (1-z) relu(W_h x + U_h h + b_h).

    Ravanelli, Brakel, Omologo and Bengio (2018), without their batch normalization of W x, whose
    shift the biases stand for.

    States: h (B,H). Output: h. Parameters: W_z W_h (H,I); U_z U_h (H,H); b_z b_h (H).
    """
    z = sigmoid(affine(p, "z", x, s["h"]))
    return {"h": z * s["h"] + (1 - z) * phi(affine(p, "h", x, s["h"]))}


@witness("lightru")
def lightru(p: Parameters, x: Tensor, s: States) -> States:
    """f = σ(W_f x + U_f h + b_f); h' = (1-f) h + f tanh(W_h x). Ye et al. (2024).

    Read in RecurrentLayers.jl's documentation only.

    States: h (B,H). Output: h. Parameters: W_f W_h (H,I); U_f (H,H); b_f (H).
    """
    f = sigmoid(affine(p, "f", x, s["h"]))
    return {"h": (1 - f) * s["h"] + f * tanh(mv(p["W_h"], x))}


@witness("ugrnn")
def ugrnn(p: Parameters, x: Tensor, s: States) -> States:
    """g = σ(W_g x + U_g h + b_g); h' = g h + (1-g) tanh(W_c x + U_c h + b_c).

    Collins, Sohl-Dickstein and Sussillo (2017).

    States: h (B,H). Output: h. Parameters: W_g W_c (H,I); U_g U_c (H,H); b_g b_c (H).
    """
    g = sigmoid(affine(p, "g", x, s["h"]))
    return {"h": g * s["h"] + (1 - g) * tanh(affine(p, "c", x, s["h"]))}


@witness("intersection")
def intersection(p: Parameters, x: Tensor, s: States) -> States:
    """y = g_y x + (1-g_y) relu(W_y x + U_y h + b_y); h' = g_h h + (1-g_h) tanh(W_h x + U_h h + b_h).

    The +RNN of Collins, Sohl-Dickstein and Sussillo (2017). x is the input at width H, W_e x + b_e
    in a first layer. y goes up and is not fed back.

    States: h y (B,H). Output: y.
    Parameters: W_e? (H,I); b_e? (H); W_y W_h W_gy W_gh (H,H); U_y U_h U_gy U_gh (H,H);
    b_y b_h b_gy b_gh (H).
    """
    h, x = s["h"], _embedded(p, x) + p.get("b_e", 0)
    y_in = torch.relu(affine(p, "y", x, h))
    h_in = tanh(affine(p, "h", x, h))
    g_y = sigmoid(affine(p, "gy", x, h))
    g_h = sigmoid(affine(p, "gh", x, h))
    return {"y": g_y * x + (1 - g_y) * y_in, "h": g_h * h + (1 - g_h) * h_in}


@witness("cfn")
def cfn(p: Parameters, x: Tensor, s: States) -> States:
    """θ, η = σ(V x + U h + b); h' = θ tanh(h) + η tanh(W x). Laurent and von Brecht (2017).

    θ's parameters end in f, η's in i.

    States: h (B,H). Output: h. Parameters: W_h W_f W_i (H,I); U_f U_i (H,H); b_f b_i (H).
    """
    theta = sigmoid(affine(p, "f", x, s["h"]))
    eta = sigmoid(affine(p, "i", x, s["h"]))
    return {"h": theta * tanh(s["h"]) + eta * tanh(mv(p["W_h"], x))}


@witness("br")
def br(p: Parameters, x: Tensor, s: States) -> States:
    """a = 1 + tanh(W_a x + w_a ⊙ h + b_a); c = σ(W_c x + w_c ⊙ h + b_c);
    h' = c h + (1-c) tanh(W_h x + a ⊙ h). Vecoven, Ernst and Drion (2021).

    As in the authors' code; the paper prints no biases.

    States: h (B,H). Output: h.
    Parameters: W_a W_c W_h (H,I); p_a p_c b_a? b_c? (H).
    """
    h = s["h"]
    a = 1 + tanh(mv(p["W_a"], x) + p["p_a"] * h + p.get("b_a", 0))
    c = sigmoid(mv(p["W_c"], x) + p["p_c"] * h + p.get("b_c", 0))
    return {"h": c * h + (1 - c) * tanh(mv(p["W_h"], x) + a * h)}


@witness("nbr")
def nbr(p: Parameters, x: Tensor, s: States) -> States:
    """br with matrices: a = 1 + tanh(W_a x + U_a h + b_a), c = σ(W_c x + U_c h + b_c).

    Vecoven, Ernst and Drion (2021).

    States: h (B,H). Output: h.
    Parameters: W_a W_c W_h (H,I); U_a U_c (H,H); b_a? b_c? (H).
    """
    h = s["h"]
    a = 1 + tanh(affine(p, "a", x, h))
    c = sigmoid(affine(p, "c", x, h))
    return {"h": c * h + (1 - c) * tanh(mv(p["W_h"], x) + a * h)}


@witness("star")
def star(p: Parameters, x: Tensor, s: States) -> States:
    """k = σ(W_k x + U_k h + b_k); z = tanh(W_z x + b_z); h' = tanh((1-k) h + k z).

    Turkoglu, D'Aronco, Wegner and Schindler (2021).

    States: h (B,H). Output: h. Parameters: W_k W_z (H,I); U_k (H,H); b_k b_z (H).
    """
    k = sigmoid(affine(p, "k", x, s["h"]))
    z = tanh(mv(p["W_z"], x) + p["b_z"])
    return {"h": tanh((1 - k) * s["h"] + k * z)}


@witness("atr")
def atr(p: Parameters, x: Tensor, s: States) -> States:
    """p = W x; q = U h; i = σ(p+q); f = σ(p-q); h' = i p + f h. Zhang et al. (2018).

    The paper prints no bias. The authors' code has one in q: of the two products, that with h alone
    leaves their linear()'s bias=True as it is.

    States: h (B,H). Output: h. Parameters: W_h (H,I); U_h (H,H); b_h? (H).
    """
    heard = mv(p["W_h"], x)
    q = mv(p["U_h"], s["h"]) + p.get("b_h", 0)
    return {"h": sigmoid(heard + q) * heard + sigmoid(heard - q) * s["h"]}


def hard_sigmoid(a: Tensor) -> Tensor:
    """clip(a/5 + 1/2, 0, 1): Theano's and Keras's, not torch's, whose slope is 1/6."""
    return torch.clamp(0.2 * a + 0.5, 0, 1)


@witness("sgu")
def sgu(p: Parameters, x: Tensor, s: States) -> States:
    """x_g = W_xh x + b_g; z_g = tanh(W_zxh (x_g ⊙ h)); z_out = softplus(z_g ⊙ h);
    z = hard_sigmoid(W_xz x + W_hz h + b_z); h' = (1-z) h + z z_out. Gao and Glowacka (2016).

    W_zxh is U_g. That σ_2 is softplus was read in a port only.

    States: h (B,H). Output: h. Parameters: W_g W_z (H,I); U_g U_z (H,H); b_g b_z (H).
    """
    h = s["h"]
    x_g = mv(p["W_g"], x) + p["b_g"]
    z_g = tanh(mv(p["U_g"], x_g * h))
    z = hard_sigmoid(affine(p, "z", x, h))
    return {"h": (1 - z) * h + z * softplus(z_g * h)}


@witness("dsgu")
def dsgu(p: Parameters, x: Tensor, s: States) -> States:
    """sgu with z_out = σ(W_go (z_g ⊙ h)). Gao and Glowacka (2016).

    W_go is U_o; it has no bias.

    States: h (B,H). Output: h. Parameters: W_g W_z (H,I); U_g U_z U_o (H,H); b_g b_z (H).
    """
    h = s["h"]
    x_g = mv(p["W_g"], x) + p["b_g"]
    z_g = tanh(mv(p["U_g"], x_g * h))
    z = hard_sigmoid(affine(p, "z", x, h))
    return {"h": (1 - z) * h + z * sigmoid(mv(p["U_o"], z_g * h))}


@witness("fastgrnn")
def fastgrnn(p: Parameters, x: Tensor, s: States) -> States:
    """z = σ(W x + U h + b_z); h~ = tanh(W x + U h + b_h), the same W and U;
    h' = (σ(ζ) (1-z) + σ(ν)) h~ + z h. Kusupati et al. (2018).

    As in the authors' EdgeML; the numbers ζ and ν start at 1 and -4.

    States: h (B,H). Output: h.
    Parameters: W_h (H,I); U_h (H,H); b_z b_h (H); p_zeta p_nu ().
    """
    pre = mv(p["W_h"], x) + mv(p["U_h"], s["h"])
    z = sigmoid(pre + p["b_z"])
    c = tanh(pre + p["b_h"])
    return {"h": z * s["h"] + (sigmoid(p["p_zeta"]) * (1 - z) + sigmoid(p["p_nu"])) * c}


@witness("taugru")
def taugru(p: Parameters, x: Tensor, s: States) -> States:
    """u = tanh(W_1 h + U_1 x); z = tanh(W_2 h_delayed + U_2 x); g, a = σ(W h + U x);
    h' = (1-g) h + g (u + a z). Erichson, Lim and Mahoney (2022).

    The history is h[0] = h_{t-1}, ..., h[K-1] = h_{t-K}; h_delayed = h[K-1], which is d = K-1 >= 1
    steps older than h. The paper prints no biases. Their W are our U, their U our W.

    States: h (K,B,H). Output: h.
    Parameters: W_u W_z W_g W_a (H,I); U_u U_z U_g U_a (H,H); b_u? b_z? b_g? b_a? (H).
    """
    h, delayed = s["h"][0], s["h"][-1]
    u = tanh(affine(p, "u", x, h))
    z = tanh(affine(p, "z", x, delayed))
    g = sigmoid(affine(p, "g", x, h))
    a = sigmoid(affine(p, "a", x, h))
    new = (1 - g) * h + g * (u + a * z)
    return {"h": torch.cat([new[None], s["h"][:-1]])}
