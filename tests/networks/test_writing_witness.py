"""Networks that read and then write beside their witness: logits, gradients, weights, gradient flow."""

import itertools
import random

import numpy as np
import pytest
import torch
import writing_witness as plain
from cases import each
from torch import Generator, Tensor
from writing import END, Told, assert_close, both, drawn, gradients, made, same_gradients, singly

from study.networks.attention import Attended
from study.networks.decoding import beam, greedy
from study.networks.model import Model
from study.probes.gradient_flow import gradient_flow
from study.tasks.base import Batch
from study.trial.config import TrialConfig

LOOKS = [
    "none",
    *(f"{name}-{score}" for name in ("soft", "hard") for score in ("dot", "general", "additive")),
]
AXES: dict[str, list[object]] = {
    "decoder.context": ["state", "input", "both", "attention"],
    "look": LOOKS,
    "model.layers": [1, 2],
    "model.bidirectional": [False, True],
    "model.residual": [False, True],
    "model.embedding": [0, 2],
    "model.deep_input": [0, 1, 2],
    "model.deep_output": [0, 1, 2],
    "model.cell": ["lstm", "gru", "elman"],
    "lengths": ["unequal", "equal", "one step read"],
}
LENGTHS = {
    "unequal": ([3, 5, 1], [2, 4, 3]),
    "equal": ([3, 3], [2, 2]),
    "one step read": ([1, 1], [3, 1]),
}
BASELINE = 0.7
ENTROPY = 0.3
Case = dict[str, object]


def allowed(case: Case) -> bool:
    """Whether there is such a network."""
    return not (
        (case["decoder.context"] == "attention" and case["look"] == "none")
        or (case["model.bidirectional"] and str(case["look"]).endswith("dot"))
        or (
            case["model.bidirectional"]
            and case["look"] == "none"
            and case["decoder.context"] == "state"
        )
        or (case["model.residual"] and case["model.layers"] == 1)
    )


def sample() -> list[Case]:
    """Cases such that any three values of three axes that go together do so in one of them.

    Greedily: of a few cases drawn, the one with most threes that are not there yet.
    """
    draw = random.Random(0)

    def threes(case: Case) -> set[tuple[object, ...]]:
        return set(itertools.combinations(case.items(), 3))

    def any_case() -> Case:
        while True:
            case = {name: draw.choice(values) for name, values in AXES.items()}
            if allowed(case):
                return case

    wanted: set[tuple[object, ...]] = set().union(*(threes(any_case()) for _ in range(8000)))
    chosen = []
    while wanted:
        case = max((any_case() for _ in range(30)), key=lambda c: len(threes(c) & wanted))
        if threes(case) & wanted:
            chosen.append(case)
            wanted -= threes(case)
    return chosen


CASES = sample()


def settings(case: Case) -> dict[str, object]:
    flat = {k: v for k, v in case.items() if "." in k}
    name, _, score = str(case["look"]).partition("-")
    flat["attention.name"] = name
    if score:
        flat["attention.score"] = score
    if name == "hard":
        flat["attention.entropy"] = ENTROPY
    return flat


def label(case: Case) -> str:
    return " ".join(str(v) for v in case.values())


def agree(model: Model, net: plain.Network, batch: Batch) -> None:
    """Logits, weights, and the gradients of the loss and of what is added for a step chosen."""
    attended = Attended()
    found = model(batch, attended=attended)
    assert found.shape == (*batch.targets.shape, net.p["readout.bias"].numel())
    loss = Told().loss(found, batch.targets)
    costs, chosen = [], []
    hard = net.attention == "hard"
    if hard:
        model.attention.baseline.fill_(BASELINE)
        loss = loss + model.policy_loss(attended, found, batch.targets)
    for b, (xs, answer) in enumerate(singly(batch)):
        steps = plain.forced(net, xs, answer)
        for s, step in enumerate(steps):
            assert_close(found[s, b], step.logits, (s, b))
            if step.weights is not None:
                assert_close(attended.weights[s, b, : len(xs)], step.weights, (s, b))
            if hard:
                assert attended.chosen[s, b] == step.chosen
        costs.append([plain.cost(step, y) for step, y in zip(steps, answer, strict=True)])
        chosen.append(
            [
                plain.policy(step, y, BASELINE, ENTROPY)
                for step, y in zip(steps, answer, strict=True)
                if hard
            ]
        )
    expected = plain.loss(costs)
    if hard:
        expected = expected + plain.loss(chosen)
    same_gradients(gradients(loss, model), gradients(expected, model))


@each("engine", ["reference", "native"])
@each("case", CASES, ids=label)
def test_logits_and_all_gradients(case: Case, engine: str) -> None:
    flat = settings(case) | {"train.engine": engine}
    model, net = both(**flat)
    g = Generator().manual_seed(1)
    batch = drawn(g, *LENGTHS[str(case["lengths"])], symbols=bool(case["model.embedding"]))
    agree(model, net, batch)


UNEQUAL = [case for case in CASES if case["lengths"] == "unequal"]


@each("case", UNEQUAL, ids=label)
def test_every_number_matters(case: Case) -> None:
    model = made(**settings(case))
    batch = drawn(
        Generator().manual_seed(1), *LENGTHS["unequal"], symbols=bool(case["model.embedding"])
    )
    logits = model(batch, attended=(attended := Attended()))
    loss = Told().loss(logits, batch.targets)
    if str(case["look"]).startswith("hard"):
        loss = loss + model.policy_loss(attended, logits, batch.targets)
    dead = {name for name, slope in gradients(loss, model).items() if not slope.abs().sum()}
    assert not dead


# --- networks read at their steps, and deep transitions -------------------------------------------

AT_STEPS = [
    {"task": "temporal-order", "task.length": 30, "model.cell": "lstm", "model.deep_input": 1},
    {"task": "temporal-order", "task.length": 30, "model.cell": "gru", "model.embedding": 3},
    {"task": "reber", "model.cell": "elman", "model.embedding": 2, "model.deep_output": 2},
    {"task": "reber", "model.cell": "lstm", "model.embedding": 5, "model.deep_input": 2},
    {"task": "reber", "model.cell": "elman", "model.deep_hidden": 2, "model.deep_output": 1},
    {
        "task": "temporal-order",
        "task.length": 30,
        "model.cell": "lstm",
        "model.embedding": 2,
        "model.deep_input": 1,
        "model.deep_hidden": 1,
        "model.deep_output": 1,
        "model.layers": 2,
        "model.bidirectional": True,
        "model.residual": True,
    },
    {"task": "adding", "task.length": 6, "model.deep_input": 1, "model.bidirectional": True},
]


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("flat", AT_STEPS, ids=label)
def test_networks_read_at_their_steps(flat: Case, engine: str) -> None:
    model, net = both(**flat, train__engine=engine)
    task = TrialConfig.from_flat(flat).task
    batch = task.validation().take(slice(3)).to(torch.float64)
    found, costs = model(batch), []
    last = task.reads == "last"
    for b in range(len(batch)):
        steps = len(batch.inputs) if batch.ends is None else int(batch.ends[b]) + 1
        expected = torch.stack(plain.predictions(net, list(batch.inputs[:steps, b]), last))
        assert_close(found[: len(expected), b], expected, b)
        costs.append(task.loss(expected[:, None], batch.targets[: len(expected), b : b + 1]))
    same_gradients(
        gradients(task.loss(found, batch.targets), model), gradients(sum(costs) / 3, model)
    )


@pytest.mark.parametrize("cell", ["lstm", "elman"])
def test_deep_transitions_of_encoder_and_decoder(cell: str) -> None:
    flat = {"model.cell": cell, "model.deep_hidden": 2, "decoder.context": "both"}
    model, net = both(**flat)
    agree(model, net, drawn(Generator().manual_seed(1), *LENGTHS["unequal"]))


# --- what holds of any batch ---------------------------------------------------------------------

LOOKING = [look for look in LOOKS if look != "none"]
ANY: list[Case] = [
    {"decoder.context": "both", "look": look, "model.layers": 2, "model.bidirectional": two}
    for look in LOOKS
    for two in (False, True)
    if not (two and look.endswith("dot"))
]


@pytest.mark.parametrize("look", LOOKING)
def test_weights_are_of_each_sequences_own_steps(look: str) -> None:
    model = made(**settings({"look": look}))
    read, written = [3, 5, 1, 5], [2, 4, 3, 1]
    batch, attended = drawn(Generator().manual_seed(2), read, written), Attended()
    model(batch, attended=attended)
    assert attended.weights.shape == (4, 4, 5)
    for b, length in enumerate(read):
        weights = attended.weights[:, b]
        assert (weights[:, length:] == 0).all()
        assert (weights[:, :length] > 0).all()
        assert_close(weights.sum(-1), torch.ones(4, dtype=torch.float64))
        assert attended.chosen is None or (attended.chosen[:, b] < length).all()


@pytest.mark.parametrize("case", ANY, ids=label)
def test_what_stands_beyond_an_end_is_not_read(case: Case) -> None:
    model = made(**settings(case))
    read, written = LENGTHS["unequal"]
    batch = drawn(Generator().manual_seed(2), read, written)
    outside = torch.arange(5)[:, None] >= torch.tensor(read)
    other = Batch(batch.inputs.masked_fill(outside[..., None], 1e3), batch.targets, batch.ends)
    assert_close(model(other), model(batch))
    for found, expected in zip(answers(model, other), answers(model, batch), strict=True):
        assert_close(found, expected)


@pytest.mark.parametrize("case", ANY, ids=label)
def test_a_batch_is_its_sequences(case: Case) -> None:
    """In another order the same in that order; one by one the same, steps beyond an end left out."""
    model = made(**settings(case))
    batch = drawn(Generator().manual_seed(2), *LENGTHS["unequal"])
    logits, answered = model(batch), answers(model, batch)
    order = torch.tensor([2, 0, 1])
    assert_close(model(batch.take(order)), logits[:, order])
    for found, expected in zip(answers(model, batch.take(order)), answered, strict=True):
        assert_close(found, expected[..., order])
    for b, (xs, answer) in enumerate(singly(batch)):
        alone = Batch(torch.stack(xs)[:, None], torch.tensor(answer)[:, None])
        assert_close(model(alone), logits[: len(answer), b : b + 1])
        for found, expected in zip(answers(model, alone), answered, strict=True):
            assert_close(found, expected[..., b : b + 1])


def answers(model: Model, batch: Batch) -> tuple[Tensor, ...]:
    """As numbers: what is written greedily, what in a beam, and its log-probability."""
    symbols, log_probability = beam(model, batch, 4, 3, END)
    return greedy(model, batch, 4, END).double(), symbols.double(), log_probability


# --- the gradient-flow probe ---------------------------------------------------------------------

FLOWS: list[Case] = [
    {"look": "none"},
    {"look": "none", "decoder.context": "both", "model.cell": "gru"},
    {"look": "soft-general", "model.layers": 2, "model.residual": True},
    {"look": "soft-additive", "model.bidirectional": True, "decoder.context": "attention"},
    {"look": "hard-general", "model.bidirectional": True, "model.layers": 2, "model.cell": "elman"},
]


@pytest.mark.parametrize("lengths", [*LENGTHS.values(), ([2, 4, 4], [4, 2, 3])], ids=str)
@pytest.mark.parametrize("case", FLOWS, ids=label)
def test_gradient_flow(case: Case, lengths: tuple[list[int], list[int]]) -> None:
    """‖∂L/∂s_t‖ of the cost L of each sequence's last symbol that is no end, backward from there."""
    model, net = both(**settings(case))
    batch = drawn(Generator().manual_seed(3), *lengths)
    norms: dict[str, list[list[float]]] = {}  # [state][sequence][lag]
    for xs, answer in singly(batch):
        found = plain.read(net, xs)
        states, before, steps = plain.first(net, found), None, []
        last = max((k for k, y in enumerate(answer) if y != Told().end), default=0)
        for y in answer[: last + 1]:
            steps.append(plain.write(net, found, states, before))
            states, before = steps[-1].states, y
        loss = plain.cost(steps[-1], answer[last])
        time = [*found.states[-1], *(step.states[-1] for step in steps)]
        for name in time[0]:
            along = [s[name] for s in time]
            slopes = torch.autograd.grad(
                loss, along, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            norms.setdefault(name, []).append([float(d.norm()) for d in reversed(slopes)])
    flow = gradient_flow(model, Told(), batch)
    assert flow is not None
    assert flow.norms.keys() == norms.keys()
    for name, alone in norms.items():
        expected = [
            np.mean([of_one[lag] for of_one in alone if lag < len(of_one)])
            for lag in range(max(map(len, alone)))
        ]
        np.testing.assert_allclose(flow.norms[name], expected, rtol=1e-10, atol=1e-14)
