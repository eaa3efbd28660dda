"""Ω of Pascanu, Mikolov & Bengio (2013) against the formula written out, one step at a time."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from study.cells import CELLS
from study.config import TrialConfig
from study.engines.jacobian import step_jacobian
from study.engines.prelude import operands
from study.engines.recording import StateGradients
from study.equations import Cell
from study.errors import UserError
from study.layer import Layer
from study.nonlinearities import NONLINEARITIES
from study.regularizers import REGULARIZERS, PascanuRegularizer, obstacle, transition
from study.training import build_model, train
from tests.references import PHIS as _PHIS
from tests.references import elman

# torch's own hardsigmoid has a slope of 1/6 in float32, for float64 too.
PHIS = _PHIS | {"hard-sigmoid": lambda a: torch.nn.functional.hardtanh(a / 3) / 2 + 0.5}
T, B, H, INPUTS = 7, 3, 4, 2
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
) -> float:
    """The paper's equations 9 and 10, and the mean of the authors' RNN.py, term by term."""
    total, terms = 0.0, 0
    for k, b in product(range(T), range(B)):
        after = gradients[k, b]  # ∂E/∂x_{k+1}, a row vector
        if after @ after < bound:
            continue
        jacobian = np.diag(slopes[k, b]) @ u  # ∂x_{k+1}/∂x_k
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


@pytest.mark.parametrize(("phi", "engine"), ENGINES)
@pytest.mark.parametrize("over", ["mean", "sum"])
@pytest.mark.parametrize("ratio", ["squared", "plain"])
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


SUITED = [LEAKY, ADDITIVE, *(cell for _, cell in CELLS.items() if obstacle(cell) is None)]


@pytest.mark.parametrize("phi", list(NONLINEARITIES))
@pytest.mark.parametrize("cell", SUITED, ids=lambda cell: cell.name)
def test_slopes_and_u_make_the_steps_jacobian(cell: Cell, phi: str) -> None:
    layer, x = layer_of(cell, phi, "reference"), inputs()
    with torch.no_grad():
        given = {name: getattr(layer, name) for name in cell.parameters}
        parameters = operands(cell, given)
    start = torch.randn(B, H, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        outputs, _ = layer(x, {"h": start})
    before = torch.cat([start[None], outputs[:-1]])
    step = transition(cell, layer.phi)
    through, past = step.slopes(parameters, x, before, outputs)
    through = through.expand(T, B, H)
    past = torch.zeros(T, B, H) if past is None else past.expand(T, B, H)
    for t in range(T):
        state = {"h": before[t]}
        jacobian = step_jacobian(cell, layer.phi, given, x[t], state)["h", "h"]
        expected = through[t][..., None] * parameters[step.matrix] + torch.diag_embed(past[t])
        torch.testing.assert_close(jacobian, expected, rtol=1e-9, atol=1e-12)


def test_a_constrained_matrix_passes_the_gradient_on_to_its_free_numbers() -> None:
    layer, x = layer_of("antisymmetric", "tanh", "reference"), inputs()
    recorder = after_backward(layer, x)
    [free] = [p for name, p in layer.named_parameters() if name.startswith("parametrizations")]
    before = free.grad.clone()
    rule = REGULARIZERS.build({"name": "pascanu", "weight": 1.0})
    rule.add(layer, x, recorder)
    step = transition(layer.cell, layer.phi)
    with torch.no_grad():
        given = operands(layer.cell, {name: getattr(layer, name) for name in layer.cell.parameters})
        slopes = step.slopes(given, x, recorder.before("h"), recorder.values("h"))

        def omega(change: Tensor) -> float:
            free.add_(change)
            value, _ = rule.penalty(recorder["h"], *slopes, u=layer.U)
            free.sub_(change)
            return value

        moves = 1e-6 * torch.eye(len(free), dtype=free.dtype)
        expected = torch.tensor([(omega(m) - omega(-m)) / 2e-6 for m in moves])
    torch.testing.assert_close((free.grad - before).float(), expected, rtol=1e-4, atol=1e-6)


def test_the_elman_networks_tanh_needs_no_pre_activation() -> None:
    step = transition(CELLS["elman"], NONLINEARITIES["tanh"])
    assert {s.name for s in step.through.free_symbols} == {"hʹ"}
    assert step.past == 0


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


def penalty(gradients: Tensor, u: Tensor, **settings: object) -> tuple[float, Tensor]:
    rule = REGULARIZERS.build({"name": "pascanu", **settings})
    assert isinstance(rule, PascanuRegularizer)
    return rule.penalty(gradients, torch.ones((), dtype=u.dtype), None, u)


def test_steps_without_gradient_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(T, B, H, generator=generator, dtype=torch.float64)
    u = torch.randn(H, H, generator=generator, dtype=torch.float64)
    of_three, gradient = penalty(gradients[:3], u)
    gradients[3:] *= 1e-11  # squared norms of about 4e-22
    assert penalty(gradients, u)[0] == pytest.approx(of_three)
    torch.testing.assert_close(penalty(gradients, u)[1], gradient)
    assert penalty(gradients, u, bound=0.0)[0] != pytest.approx(of_three)
    value, gradient = penalty(torch.zeros(T, B, H, dtype=torch.float64), u, bound=0.0)
    assert (value, float(gradient.abs().max())) == (0.0, 0.0)
    assert math.isfinite(penalty(gradients, torch.zeros_like(u), ratio="plain")[0])


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e20, 1e37])
def test_the_gradients_size_does_not_matter(size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(T, B, H, generator=generator)
    u = torch.randn(H, H, generator=generator)
    expected = penalty(gradients.double(), u.double())
    value, gradient = penalty(gradients * size, u)
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
            assert refusal.startswith(f"regularizer 'pascanu' does not suit the cell {name!r}: ")
            with pytest.raises(UserError, match="does not suit"):
                TrialConfig.from_flat({"model.cell": name, "regularizer": "pascanu"})
    assert rule.refusal(CELLS["elman"]) is None


@pytest.mark.parametrize(
    ("equations", "reason"),
    [
        ("z = sigmoid(W_z x + U_z h)\nh' = phi(W x + z*(U h))", "this has U_z U"),
        ("h' = phi(W x + b)", "this has none"),
        ("h' = phi(W x + U (h*h))", "it needs U h"),
        ("h' = phi(W x + U h + U (h*h))", "it needs U h"),
    ],
)
def test_what_is_no_diagonal_times_u_is_refused(equations: str, reason: str) -> None:
    cell = Cell(name="odd", state="h", equations=equations, source="of this test")
    assert reason in (REGULARIZERS.build("pascanu").refusal(cell) or "")


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
        config.task.loss(model(batch, recorder), batch.targets).backward()
        omega = config.regularizer.add(model.layer, batch.inputs, recorder)
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
