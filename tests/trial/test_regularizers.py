"""Ω of Pascanu, Mikolov & Bengio (2013) against the formula written out, one step at a time."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from cases import each
from references import PHIS, elman
from torch import Tensor

from study.base.errors import UserError
from study.cells import CELLS
from study.engines import reference
from study.engines.recording import StateGradients
from study.language.cell import Cell
from study.networks.layer import Layer
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.regularizers import REGULARIZERS
from study.trial.training import train

T, B, H, INPUTS = 7, 3, 4, 2
CELLS_WITH_MATRICES = [cell for _, cell in CELLS.items() if cell.recurrent_matrices]
LEAKY = Cell(
    name="leaky test cell",
    state="h",
    equations="""
        a = sigmoid(W_a x + b_a)
        h' = a*phi(W x + U h + b) + (1-a)*h
    """,
    source="of this test: a slope past U h, and a gate of the input alone",
)
ADDITIVE = Cell(name="additive", state="h", equations="h' = phi(W x + b) + U h", source="Henaff")


def layer_of(cell: str | Cell, phi: str, engine: str = "auto", seed: int = 0) -> Layer:
    generator = torch.Generator().manual_seed(seed)
    layer = Layer(cell, INPUTS, H, phi, generator=generator, dtype=torch.float64, engine=engine)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
    return layer


def inputs(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(T, B, INPUTS, generator=generator, dtype=torch.float64)


def loss_of(outputs: Tensor) -> Tensor:
    """A mean over the batch, of the last step and a little of an earlier one."""
    return (outputs[-1].sin().sum(-1) + 0.1 * outputs[3].square().sum(-1)).mean()


def state_gradients(parameters: dict[str, Tensor], phi: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """h_1 … h_T and ∂E/∂h_1 … ∂E/∂h_T of a plain loop, by adding a zero to each state."""
    zeros = torch.zeros(T, B, H, dtype=torch.float64, requires_grad=True)
    sequences = []
    for b in range(B):
        h, steps = torch.zeros(H, dtype=torch.float64), []
        for t in range(T):
            a = parameters["W"] @ x[t, b] + parameters["U"] @ h + parameters["b"]
            h = PHIS[phi](a) + zeros[t, b]
            steps.append(h)
        sequences.append(torch.stack(steps))
    outputs = torch.stack(sequences, dim=1)
    (found,) = torch.autograd.grad(loss_of(outputs), zeros)
    return outputs.detach(), found


def slope(phi: str, a: np.ndarray) -> np.ndarray:
    values = torch.from_numpy(a).requires_grad_()
    (found,) = torch.autograd.grad(PHIS[phi](values).sum(), values)
    return found.numpy()


def omega_by_hand(
    u: np.ndarray,
    slopes: np.ndarray,
    gradients: np.ndarray,
    ratio: str = "squared",
    over: str = "mean",
    bound: float = 1e-20,
    residual: float = 0.0,
    steps: int = T,
) -> float:
    """The paper's equations 9 and 10, and the mean of the authors' RNN.py, term by term."""
    total, terms = 0.0, 0
    for k, b in product(range(steps), range(B)):
        after = gradients[k, b]  # ∂E/∂x_{k+1}, a row vector
        if after @ after < bound:
            continue
        jacobian = np.diag(slopes[k, b]) @ u + residual * np.eye(H)  # ∂x_{k+1}/∂x_k
        before = after @ jacobian
        quotient = np.linalg.norm(before) / np.linalg.norm(after)
        total += (quotient**2 - 1) ** 2 if ratio == "squared" else (quotient - 1) ** 2
        terms += 1
    return total / (terms if over == "mean" else B)


def by_differences(u: np.ndarray, *constants: object) -> np.ndarray:
    """∂Ω/∂U, all else constant, by central differences."""
    found, step = np.zeros_like(u), 1e-6
    for place in np.ndindex(u.shape):
        move = np.zeros_like(u)
        move[place] = step
        up, down = omega_by_hand(u + move, *constants), omega_by_hand(u - move, *constants)
        found[place] = (up - down) / (2 * step)
    return found


def after_backward(layer: Layer, x: Tensor) -> StateGradients:
    recorder = StateGradients()
    outputs, _ = layer(x, recorder=recorder)
    loss_of(outputs).backward()
    return recorder


# The native engine compiles each of them: two of them show that its recorder serves as well.
ENGINES = [*((phi, "reference") for phi in PHIS), ("tanh", "auto"), ("relu", "auto")]


@each(("phi", "engine"), ENGINES)
@each("over", ["mean", "sum"])
@each("ratio", ["squared", "plain"])
def test_omega_and_its_gradient_are_the_formulas(
    phi: str, ratio: str, over: str, engine: str
) -> None:
    layer, x = layer_of("elman", phi, engine), inputs()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    h, gradients = state_gradients(parameters, phi, x)
    start = {"h": torch.zeros(B, H, dtype=torch.float64)}
    torch.testing.assert_close(h, elman(parameters, x, start, PHIS[phi])[0])
    previous = torch.cat([torch.zeros(1, B, H), h[:-1]])
    a = x @ parameters["W"].T + previous @ parameters["U"].T + parameters["b"]
    u, constants = parameters["U"].numpy(), (slope(phi, a.numpy()), gradients.numpy(), ratio, over)

    recorder = after_backward(layer, x)
    plain = {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}
    rule = REGULARIZERS.build({"name": "pascanu", "weight": 3.0, "ratio": ratio, "over": over})
    assert rule.add(layer, x, recorder) == pytest.approx(omega_by_hand(u, *constants), rel=1e-10)

    added = layer.get_parameter("U").grad - plain["U"]
    expected = 3.0 * torch.from_numpy(by_differences(u, *constants))
    # central differences of step 1e-6 lose 1e-10 to rounding, of Ω's size
    torch.testing.assert_close(added, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
    for name in ("W", "b"):
        assert torch.equal(layer.get_parameter(name).grad, plain[name]), "only U has a term"


@each("cell", [LEAKY, ADDITIVE, *CELLS_WITH_MATRICES], ids=lambda cell: cell.name)
def test_any_cells_omega_is_that_of_its_jacobians(cell: Cell) -> None:
    layer, x = layer_of(cell, "tanh", "reference"), inputs()
    recorder = after_backward(layer, x)
    if not all(recorder[s].isfinite().all() for s in cell.states):
        pytest.skip("random weights let this one explode")
    parameters = {name: getattr(layer, name).detach() for name in cell.parameters}

    def step(t: int, *state: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(cell.states, state, strict=True))
        _, last = reference.run(cell, layer.phi, parameters, x[t : t + 1], given)
        return tuple(last[s] for s in cell.states)

    def rest(t: int, *state: Tensor) -> Tensor:
        """The loss from the state after step t on, each of its variables a leaf."""
        given = dict(zip(cell.states, state, strict=True))
        outputs = [given[cell.output][None]]
        if t + 1 < T:
            later, _ = reference.run(cell, layer.phi, parameters, x[t + 1 :], given)
            outputs.append(later)
        earlier = recorder.values(cell.output)[:t]
        return loss_of(torch.cat([earlier, *outputs]))

    total, terms = 0.0, 0
    for t in range(T):
        before = tuple(recorder.before(s)[t] for s in cell.states)
        leaves = tuple(recorder.values(s)[t].clone().requires_grad_() for s in cell.states)
        found = torch.autograd.grad(rest(t, *leaves), leaves, allow_unused=True)
        after = tuple(
            torch.zeros_like(leaf) if g is None else g
            for leaf, g in zip(leaves, found, strict=True)
        )
        _, back = torch.autograd.functional.vjp(partial(step, t), before, after)
        for b in range(B):
            size = float(torch.cat([g[b] for g in after]).norm())
            if size**2 >= 1e-20:
                ratio = float(torch.cat([g[b] for g in back]).norm()) / size
                total, terms = total + (ratio**2 - 1) ** 2, terms + 1
    omega = REGULARIZERS.build("pascanu").add(layer, x, recorder)
    assert omega == pytest.approx(total / max(terms, 1), rel=1e-7, abs=1e-9)


def test_an_lstms_gates_and_slopes_are_constants() -> None:
    layer, x = layer_of("lstm", "tanh", "reference"), inputs()
    recorder = after_backward(layer, x)
    p = {name: value.detach() for name, value in layer.named_parameters()}
    h, c = recorder.before("h"), recorder.before("c")
    gate = {
        n: (x @ p[f"W_{n}"].T + h @ p[f"U_{n}"].T + p[f"b_{n}"]).sigmoid() for n in ("i", "f", "o")
    }
    g = (x @ p["W_g"].T + h @ p["U_g"].T + p["b_g"]).tanh()
    i, f, o = gate["i"], gate["f"], gate["o"]
    new = (f * c + i * g).tanh()
    u = {n: p[f"U_{n}"].clone().requires_grad_() for n in ("i", "f", "g", "o")}
    total = torch.zeros((), dtype=torch.float64)
    for t, b in product(range(T), range(B)):
        d_h, to_c = recorder["h"][t, b], recorder["c"][t, b]
        d_c = to_c - d_h * o[t, b] * (1 - new[t, b] ** 2)  # without the way through h' = o tanh(c')
        back_c = to_c * f[t, b]
        back_h = (
            (to_c * c[t, b] * f[t, b] * (1 - f[t, b])) @ u["f"]
            + (to_c * g[t, b] * i[t, b] * (1 - i[t, b])) @ u["i"]
            + (to_c * i[t, b] * (1 - g[t, b] ** 2)) @ u["g"]
            + (d_h * new[t, b] * o[t, b] * (1 - o[t, b])) @ u["o"]
        )
        size = d_h @ d_h + d_c @ d_c
        total = total + ((back_h @ back_h + back_c @ back_c) / size - 1) ** 2 / (T * B)
    total.backward()
    plain = {n: layer.get_parameter(f"U_{n}").grad.clone() for n in u}
    omega = REGULARIZERS.build({"name": "pascanu", "weight": 1.0}).add(layer, x, recorder)
    assert omega == pytest.approx(float(total.detach()), rel=1e-10)
    for n, matrix in u.items():
        found = layer.get_parameter(f"U_{n}").grad - plain[n]
        torch.testing.assert_close(found, matrix.grad, rtol=1e-8, atol=1e-10)


def test_a_constrained_matrix_passes_the_gradient_on_to_its_free_numbers() -> None:
    layer, x = layer_of("antisymmetric", "tanh", "reference"), inputs()
    recorder = after_backward(layer, x)
    [free] = [p for name, p in layer.named_parameters() if name.startswith("parametrizations")]
    given = {name: getattr(layer, name).detach() for name in ("U", "W", "b")}
    a = recorder.before("h") @ given["U"].T + x @ given["W"].T + given["b"]
    slopes = (0.01 * (1 - a.tanh() ** 2)).numpy()  # h' = h + 0.01 tanh(a)
    constants = (slopes, recorder["h"].numpy())

    def omega(change: Tensor) -> float:
        with torch.no_grad():
            free.add_(change)
            value = omega_by_hand(layer.U.numpy(), *constants, residual=1.0)
            free.sub_(change)
        return value

    before = free.grad.clone()
    rule = REGULARIZERS.build({"name": "pascanu", "weight": 1.0})
    assert rule.add(layer, x, recorder) == pytest.approx(omega(torch.zeros_like(free)), rel=1e-9)
    moves = 1e-5 * torch.eye(len(free), dtype=free.dtype)
    expected = torch.tensor([(omega(m) - omega(-m)) / 2e-5 for m in moves]).to(free.dtype)
    torch.testing.assert_close(free.grad - before, expected, rtol=1e-4, atol=1e-8)


def test_a_linear_networks_omega_is_known() -> None:
    # U = s·Q with Q orthogonal and φ the identity: every ratio is s².
    for scale in (0.5, 1.0, 1.2):
        layer, x = layer_of("elman", "identity"), inputs()
        orthogonal = torch.linalg.qr(layer.get_parameter("U").detach()).Q
        with torch.no_grad():
            layer.get_parameter("U").copy_(scale * orthogonal)
        recorder = after_backward(layer, x)
        before = layer.get_parameter("U").grad.clone()
        omega = REGULARIZERS.build({"name": "pascanu", "weight": 1.0}).add(layer, x, recorder)
        assert omega == pytest.approx((scale**2 - 1) ** 2, rel=1e-9, abs=1e-20)
        added = layer.get_parameter("U").grad - before
        if scale == 1:
            assert float(added.abs().max()) < 1e-12
        else:
            # mean of 4 (s²-1) δ (δᵀU): along U it is 4 (s²-1) s² for every unit vector δ
            along = float((added * layer.get_parameter("U").detach()).sum())
            assert along == pytest.approx(4 * (scale**2 - 1) * scale**2)


def with_gradients(gradients: Tensor, **settings: object) -> tuple[float, Tensor]:
    """Ω and ∂Ω/∂U of a linear network for these ∂E/∂h (T,B,H), whatever made them."""
    layer = layer_of("elman", "identity", "reference")
    layer.to(gradients.dtype)
    recorder = StateGradients()
    x = inputs().to(gradients.dtype)
    layer(x, recorder=recorder)
    recorder.store("h", gradients)
    omega = REGULARIZERS.build({"name": "pascanu", "weight": 1.0} | settings).add(
        layer, x, recorder
    )
    found = layer.get_parameter("U").grad
    return omega, found


def drawn(seed: int = 0) -> Tensor:
    return torch.randn(T, B, H, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_steps_without_gradient_do_not_count() -> None:
    gradients = drawn()
    u = layer_of("elman", "identity").get_parameter("U").detach().numpy()
    gradients[3:] *= 1e-11  # squared norms of about 4e-22
    of_three = omega_by_hand(u, np.ones((T, B, H)), gradients.numpy())
    assert of_three == pytest.approx(
        omega_by_hand(u, np.ones((T, B, H)), gradients.numpy()[:3], steps=3)
    )
    assert with_gradients(gradients)[0] == pytest.approx(of_three)
    assert with_gradients(gradients, bound=0.0)[0] != pytest.approx(of_three)
    for ratio in ("squared", "plain"):
        zero = torch.zeros(T, B, H, dtype=torch.float64)
        value, gradient = with_gradients(zero, bound=0.0, ratio=ratio)
        assert (value, float(gradient.abs().max())) == (0.0, 0.0)


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e20, 1e37])
def test_the_gradients_size_does_not_matter(size: float) -> None:
    expected = with_gradients(drawn())
    value, gradient = with_gradients(drawn().float() * size)
    assert value == pytest.approx(expected[0], rel=1e-5)  # float32
    torch.testing.assert_close(gradient.double(), expected[1], rtol=1e-4, atol=1e-4)


def test_every_cell_has_the_term_or_says_why_not() -> None:
    rule = REGULARIZERS.build("pascanu")
    for name, cell in CELLS.items():
        refusal = rule.refusal(cell)
        assert REGULARIZERS.build("none").refusal(cell) is None
        if refusal is None:
            assert TrialConfig.from_flat({"model.cell": name, "regularizer": "pascanu"})
        else:
            assert all(cell.parameters[n].is_fixed for n in cell.recurrent_matrices)
            assert refusal.startswith(f"regularizer 'pascanu' does not suit the cell {name!r}: ")
            with pytest.raises(UserError, match="does not suit"):
                TrialConfig.from_flat({"model.cell": name, "regularizer": "pascanu"})
    without = Cell(name="odd", state="h", equations="h' = phi(W x + b + h)", source="of this test")
    assert "no matrix carries its state" in (rule.refusal(without) or "")
    assert "no trained matrix carries its state" in (rule.refusal(CELLS["influence"]) or "")


SMALL = {
    "task.name": "adding",
    "task.length": 6,
    "model.cell": "elman",
    "model.hidden": 5,
    "train.batch": 8,
    "train.optimizer": "sgd",
    "train.lr": 0.05,
    "train.steps": 3,
    "train.evaluate_every": 1,
    "clip": "norm",
    "clip.threshold": 0.5,
    "regularizer": "pascanu",
    "regularizer.weight": 2.0,
}


def test_training_adds_the_term_before_clipping() -> None:
    config = TrialConfig.from_flat(SMALL)
    model = build_model(config)
    parameters = list(model.parameters())
    stream = config.task.training(config.seed, 8)
    expected = []
    for _ in range(3):
        batch = next(stream)
        recorder = StateGradients()
        model.zero_grad()
        predictions = model(batch, recorders={model.top: recorder})
        config.task.loss(predictions, batch.targets).backward()
        omega = config.regularizer.add(model.top, batch.inputs, recorder)
        norm = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in parameters))
        with torch.no_grad():
            for p in parameters:
                p.sub_(0.05 * p.grad * min(1.0, 0.5 / norm))
        expected.append((omega, norm))
    curves = [r.values for r in train(config) if hasattr(r, "values")][1:]
    for values, pair in zip(curves, expected, strict=True):
        found = (values["train/omega"], values["train/grad_norm"])
        assert found == pytest.approx(pair, rel=1e-5)  # float32


def test_the_term_brings_the_ratio_nearer_to_one() -> None:
    # From U of small norm the gradient vanishes; the term alone shall undo it.
    flat = {**SMALL, "train.steps": 200, "train.lr": 0.1, "regularizer.weight": 5.0, "clip": "none"}
    flat |= {"init.recurrent": "scaled-identity", "init.recurrent.scale": 0.3}
    del flat["clip.threshold"]
    records = [r.values for r in train(TrialConfig.from_flat(flat)) if hasattr(r, "values")]
    omegas = [values["train/omega"] for values in records[1:]]
    assert omegas[-1] < 0.2 * omegas[0]
    without = {k: v for k, v in flat.items() if not k.startswith("regularizer")}
    records = [r.values for r in train(TrialConfig.from_flat(without)) if hasattr(r, "values")]
    assert all("train/omega" not in values for values in records)
