"""Credit assignment: what is cut, what is unbiased, what is exact, and what goes the wrong way."""

import itertools
import math

import pytest
import torch
from cases import each
from sampling import first_states, fixed_vectors
from torch import Tensor

from study import Cell, Layer, StateGradients
from study.base.errors import UserError
from study.cells import CELLS
from study.credit import CREDIT
from study.credit.real_time import MOST_INFLUENCES
from study.engines import reference, select
from study.language.nonlinearities import NONLINEARITIES
from study.tasks import TASKS

TANH = NONLINEARITIES["tanh"]
STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 2, 3
# Every cell runs in the reference engine; that the native one agrees is tested beside the engines,
# so three of them, with a kernel each to compile, are enough here.
EVERY = [(cell, "reference") for cell in CELLS]
EVERY += [(cell, "native") for cell in ("elman", "gru", "lstm")]
EXACT = 1e-9  # float64: a few hundred additions in another order
SCHEDULES = ["constant", "bounded"]


class Problem:
    """A cell with random parameters (0.5 N(0,1)), an input, a first state, and a linear loss."""

    def __init__(
        self, cell: Cell, steps: int = STEPS, engine: str = "reference", phi: str = "tanh"
    ) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.cell, self.phi, self.engine = cell, NONLINEARITIES[phi], engine
        self.x, self.weights = draw(steps, BATCH, INPUTS), draw(steps, BATCH, HIDDEN)
        self.parameters = {
            n: (0.5 * draw(*p.shape(INPUTS, HIDDEN))).requires_grad_()
            for n, p in cell.parameters.items()
        }
        fixed = fixed_vectors(cell, HIDDEN)
        self.parameters |= {n: value.requires_grad_() for n, value in fixed.items()}
        first = first_states(cell, lambda: draw(BATCH, HIDDEN))
        self.state = {n: value.requires_grad_() for n, value in first.items()}
        self.last_weights = {n: draw(BATCH, HIDDEN) for n in cell.states}

    @property
    def leaves(self) -> list[Tensor]:
        return [*self.parameters.values(), *self.state.values()]

    def gradients(self, outputs: Tensor, last: dict[str, Tensor]) -> list[Tensor]:
        """Of the parameters, then of the first state."""
        loss = (outputs * self.weights[: len(outputs)]).sum()
        loss = loss + sum((last[n] * w).sum() for n, w in self.last_weights.items())
        return list(torch.autograd.grad(loss, self.leaves, materialize_grads=True))

    def run(self, rule: object, **settings: object) -> list[Tensor]:
        what = (self.cell, self.phi, self.parameters, self.x, self.state)
        return self.gradients(*CREDIT.build(rule).run(*what, **{"engine": self.engine, **settings}))

    def carried(self, carry: Tensor) -> list[Tensor]:
        what = (self.cell, self.phi, self.parameters, self.x, self.state)
        return self.gradients(*select.run(*what, carry=carry, engine=self.engine))


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float = EXACT) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def together(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


@each("cell", CELLS)
def test_no_rule_changes_the_outputs(cell: str) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = Layer(cell, INPUTS, HIDDEN, generator=generator, engine="reference")
    x = torch.randn(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(1))
    expected, state = layer(x)
    for rule in CREDIT:
        outputs, last = layer(x, credit=rule, generator=torch.Generator().manual_seed(2))
        assert torch.equal(expected, outputs), rule
        assert all(torch.equal(state[name], last[name]) for name in state), rule


@pytest.mark.parametrize("rule", CREDIT)
def test_the_generator_decides(rule: str) -> None:
    problem = Problem(CELLS["gru"])
    first, second = (
        problem.run(rule, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# --- truncation ---------------------------------------------------------------------------------


@each(("cell", "engine"), EVERY)
def test_a_window_of_the_whole_sequence_is_full(cell: str, engine: str) -> None:
    problem = Problem(CELLS[cell], engine=engine)
    full = problem.run("full")
    for window in (STEPS, STEPS + 5):
        truncated = problem.run({"name": "truncated", "window": window})
        assert all(torch.equal(a, b) for a, b in zip(truncated, full, strict=True)), window


@each(("cell", "engine"), EVERY)
def test_truncation_is_a_loop_with_detach(cell: str, engine: str) -> None:
    problem = Problem(CELLS[cell], engine=engine)
    for window in (1, 4):
        found = problem.run({"name": "truncated", "window": window})
        now, outputs = dict(problem.state), []
        for t, x in enumerate(problem.x):
            if t and t % window == 0:
                now = {name: value.detach() for name, value in now.items()}
            out, now = reference.run(problem.cell, TANH, problem.parameters, x[None], now)
            outputs.append(out[0])
        assert_close(found, problem.gradients(torch.stack(outputs), now))


def test_a_recorder_shows_the_cuts() -> None:
    layer = Layer("lstm", INPUTS, HIDDEN, dtype=torch.float64)
    x, recorder = torch.ones(9, 1, INPUTS, dtype=torch.float64), StateGradients()
    outputs, _ = layer(x, recorder=recorder, credit={"name": "truncated", "window": 4})
    outputs[-1].sum().backward()
    reached = [bool(g.abs().sum() > 0) for g in recorder["h"]]
    assert reached == [False] * 8 + [True]
    outputs, _ = layer(x, recorder=recorder, credit={"name": "truncated", "window": 4})
    outputs[-2].sum().backward()
    reached = [bool(g.abs().sum() > 0) for g in recorder["h"]]
    assert reached == [False] * 4 + [True] * 4 + [False]


# --- randomized truncation ----------------------------------------------------------------------


def chance_of_a_cut(schedule: str, length: float, alpha: float, since: int) -> float:
    """Tallec & Ollivier (2017), section 4."""
    c = {"constant": 1 / length, "bounded": (alpha - 1) / ((alpha - 2) * length + since)}
    return c[schedule]


def pattern(cuts: tuple[bool, ...], *schedule: object) -> tuple[float, Tensor]:
    """The probability of these cuts before steps 1, 2, …, and the factors that go with them."""
    probability, factors, last = 1.0, [1.0], 0
    for t, is_cut in enumerate(cuts, start=1):
        c = chance_of_a_cut(*schedule, t - last)
        probability *= c if is_cut else 1 - c
        factors.append(0.0 if is_cut else 1 / (1 - c))
        last = t if is_cut else last
    return probability, torch.tensor(factors, dtype=torch.float64)


@each("cell", CELLS)
def test_the_expectation_over_all_cuts_is_the_full_gradient(cell: str) -> None:
    problem = Problem(CELLS[cell], steps=5)
    full = problem.run("full")
    for schedule in SCHEDULES:
        mean = [torch.zeros_like(leaf) for leaf in problem.leaves]
        total = 0.0
        for cuts in itertools.product([False, True], repeat=4):
            probability, factors = pattern(cuts, schedule, 3.0, 4.0)
            total += probability
            for sum_, gradient in zip(mean, problem.carried(factors), strict=True):
                sum_ += probability * gradient
        assert total == pytest.approx(1)
        assert_close(mean, full)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_cuts_are_drawn_as_often_as_they_should(schedule: str) -> None:
    rule = CREDIT.build({"name": "artbp", "schedule": schedule, "length": 2.5, "alpha": 5.0})
    generator, draws = torch.Generator().manual_seed(0), 4000
    seen: dict[tuple[bool, ...], int] = {}
    for _ in range(draws):
        carry = rule.carry(5, generator)
        cuts = tuple((carry[1:] == 0).tolist())
        torch.testing.assert_close(carry, pattern(cuts, schedule, 2.5, 5.0)[1])
        seen[cuts] = seen.get(cuts, 0) + 1
    for cuts in itertools.product([False, True], repeat=4):
        p, _ = pattern(cuts, schedule, 2.5, 5.0)
        # 32 counts, each within 4 standard deviations.
        assert abs(seen.get(cuts, 0) - draws * p) <= 4 * math.sqrt(draws * p * (1 - p)), cuts


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_length_is_the_mean_number_of_steps_between_cuts(schedule: str) -> None:
    rule = CREDIT.build({"name": "artbp", "schedule": schedule, "length": 8, "alpha": 6})
    carry = rule.carry(80_000, torch.Generator().manual_seed(0))
    cuts = torch.nonzero(carry == 0).flatten()
    lengths = cuts.diff().double()
    assert abs(lengths.mean() - 8) <= 3 * lengths.std() / len(lengths) ** 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_mean_of_many_draws_is_near_the_full_gradient(schedule: str) -> None:
    """Along the full gradient, the only direction in which a mean of 1 says that all of it is there."""
    problem, generator = Problem(CELLS["lstm"], 12, "native"), torch.Generator().manual_seed(0)
    full = together(problem.run("full"))
    rule = {"name": "artbp", "schedule": schedule, "length": 4}
    parts = [together(problem.run(rule, generator=generator)) @ full for _ in range(600)]
    shares = torch.stack(parts) / (full @ full)
    error = float(shares.std()) / len(shares) ** 0.5
    assert abs(float(shares.mean()) - 1) <= 2 * error
    short = together(problem.run({"name": "truncated", "window": 4})) @ full / (full @ full)
    assert abs(float(short) - 1) > 2 * error  # so the test would notice


# --- forward in time ----------------------------------------------------------------------------


@each("cell", CELLS)
def test_forward_in_time_is_the_full_gradient(cell: str) -> None:
    problem = Problem(CELLS[cell])
    for lengths in (None, torch.tensor([2, 4, 1])):
        assert_close(problem.run("rtrl", lengths=lengths), problem.run("full", lengths=lengths))


@pytest.mark.parametrize("phi", NONLINEARITIES)
def test_forward_in_time_with_every_nonlinearity(phi: str) -> None:
    problem = Problem(CELLS["gru"], phi=phi)
    assert_close(problem.run("rtrl"), problem.run("full"))


def test_forward_in_time_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.credit.forward_mode.CHUNK_NUMBERS", 2 * BATCH * 6 * (6 + 72))
    problem = Problem(CELLS["lstm"])
    assert_close(problem.run("rtrl"), problem.run("full"))


def test_forward_in_time_in_a_module_with_a_part_frozen() -> None:
    layer = Layer("lstm", INPUTS, HIDDEN, dtype=torch.float64)
    layer.U_f.requires_grad_(False)
    x = torch.ones(STEPS, BATCH, INPUTS, dtype=torch.float64)
    gradients = []
    for rule in ("full", "rtrl"):
        layer.zero_grad()
        outputs, last = layer(x, credit=rule)
        (outputs.square().sum() + last["c"].sum()).backward()
        assert layer.U_f.grad is None
        gradients.append([p.grad for p in layer.parameters() if p.requires_grad])
    assert_close(*gradients)


def test_forward_in_time_refuses_what_it_cannot_do() -> None:
    layer = Layer("lstm", INPUTS, HIDDEN)
    x = torch.zeros(STEPS, BATCH, INPUTS)
    with pytest.raises(UserError, match="no gradient of its input"):
        layer(x.clone().requires_grad_(), credit="rtrl")
    with pytest.raises(UserError, match="recorded or limited"):
        layer(x, credit="rtrl", recorder=StateGradients())
    with pytest.raises(UserError, match="recorded or limited"):
        layer(x, credit="rtrl", limit=1.0)


def test_forward_in_time_refuses_what_is_too_large() -> None:
    rule, lstm = CREDIT.build("rtrl"), CELLS["lstm"]
    parameters = 4 * 64 * (64 + 2 + 1)
    fits = MOST_INFLUENCES // (2 * 64 * parameters)
    rule.check(lstm, 2, 64, fits)
    with pytest.raises(UserError, match=f"{fits + 1} sequences x 128 state values x {parameters}"):
        rule.check(lstm, 2, 64, fits + 1)
    layer = Layer("lstm", 2, 64)
    with pytest.raises(UserError, match="smaller batch"):
        layer(torch.zeros(1, fits + 1, 2), credit="rtrl")
    with torch.no_grad():
        layer(torch.zeros(1, fits + 1, 2), credit="rtrl")


# --- a task on which a short window is worse than none --------------------------------------------


def influence_balancing(rule: object, updates: int, rate: float) -> list[float]:
    """θ over the updates, by gradient descent on the task's one sequence.

    The equilibrium s_0 = 2 θ (10 - 13) is 1 at θ = -1/6; over a few steps θ seems to push s_0 up.
    """
    task = TASKS.build("influence-balancing")
    layer = Layer("influence", 1, 23, dtype=torch.float64)
    batch = next(task.training(0, 1)).to(torch.float64)
    [theta] = layer.parameters()
    generator, path = torch.Generator().manual_seed(0), [theta.item()]
    for _ in range(updates):
        outputs, _ = layer(batch.inputs, credit=rule, generator=generator)
        (gradient,) = torch.autograd.grad(task.loss(outputs[..., :1], batch.targets), [theta])
        with torch.no_grad():
            theta -= rate * gradient
        path.append(theta.item())
    return path


def best_theta() -> float:
    """s_0 = θ b_t at every step, so the best θ is Σ b / Σ b²; -1/6 but for the beginning."""
    states, total, squares = [0.0] * 24, 0.0, 0.0  # the last stands for what unit 23 does not hear
    for _ in range(400):
        for i in range(23):
            states[i] = (states[i] + states[i + 1]) / 2 + (1 if i < 10 else -1)
        total += states[0]
        squares += states[0] ** 2
    return total / squares


@pytest.mark.parametrize("rate", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("window", [1, 10, 30])
def test_influence_balancing_a_short_window_goes_the_wrong_way(window: int, rate: float) -> None:
    path = influence_balancing({"name": "truncated", "window": window}, 30, rate)
    assert path[0] == 0.5
    assert all(b > a for a, b in itertools.pairwise(path))


@pytest.mark.parametrize(
    ("rule", "updates", "rate"),
    [
        ("full", 60, 1e-2),
        ("rtrl", 60, 1e-2),
        # Small steps, so that the noise of single draws is averaged out.
        ({"name": "artbp", "length": 16, "alpha": 6, "schedule": "bounded"}, 1000, 1e-3),
        ({"name": "artbp", "length": 16, "alpha": 6, "schedule": "constant"}, 1000, 1e-3),
    ],
    ids=["full", "rtrl", "bounded", "constant"],
)
def test_influence_balancing_converges_without_bias(
    rule: object, updates: int, rate: float
) -> None:
    tail = influence_balancing(rule, updates, rate)[updates // 2 :]
    assert sum(tail) / len(tail) == pytest.approx(best_theta(), abs=0.01)
    assert max(tail) < 0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"name": "truncated", "window": 0}, "window: input should be greater than or equal to 1"),
        ({"name": "artbp", "length": 1}, "length: input should be greater than 1"),
        ({"name": "artbp", "alpha": 3}, "alpha: input should be greater than 3"),
        ({"name": "artbp", "schedule": "random"}, "schedule: input should be 'bounded' or"),
        ("truncate", "no credit assignment named 'truncate'; did you mean 'truncated'"),
    ],
)
def test_bad_rules(rule: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CREDIT.build(rule)
