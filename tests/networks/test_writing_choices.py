"""What training draws: the step that hard attention looks at, and which symbol a decoder is told."""

import itertools
import math

import numpy as np
import pytest
import torch
import writing_witness as plain
from scipy import stats
from torch import Generator, Tensor
from writing import (
    CLASSES,
    Told,
    assert_close,
    both,
    drawn,
    gradients,
    made,
    same_gradients,
    singly,
)

from study.networks.attention import Attended
from study.networks.decoding import greedy
from study.networks.model import Model
from study.tasks.base import NO_TARGET, Batch

ENTROPY = 0.3
SCORES = ["dot", "general", "additive"]
RARE = 1e-4  # one seed in ten thousand would fail


def hard(score: str, **more: object) -> dict[str, object]:
    return {
        "model.hidden": 3,
        "attention.name": "hard",
        "attention.score": score,
        "attention.entropy": ENTROPY,
        **more,
    }


def seed(number: int) -> Generator:
    return Generator().manual_seed(number)


def copies(batch: Batch, count: int) -> Batch:
    """A batch of the first sequence, many times over."""
    return batch.take(torch.zeros(count, dtype=torch.long))


# --- hard attention ------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", [0.0, 1.3])
@pytest.mark.parametrize(
    ("lengths", "context"), [(([3], [2]), "attention"), (([3, 2], [2, 1]), "both")]
)
@pytest.mark.parametrize("score", SCORES)
def test_the_gradient_is_right_in_the_mean(
    score: str, lengths: tuple[list[int], list[int]], context: str, baseline: float
) -> None:
    """Σ over all choices of steps, each by its probability, of the training gradient is that of the
    expected loss less the entropy bonus, whatever the baseline. Williams (1992), theorem 1.

    A choice is met by trying seeds until it comes; choices beyond an answer's end are the same one.
    """
    model, net = both(**hard(score, **{"decoder.context": context}))
    batch = drawn(seed(4), *lengths)
    asked = batch.targets != NO_TARGET
    found: dict[tuple[int, ...], dict[str, Tensor]] = {}
    mass = 0.0
    for attempt in range(3000):
        attended = Attended()
        with torch.no_grad():
            model(batch, draws=seed(attempt), attended=attended)
        choice = tuple(attended.chosen[asked].tolist())
        if choice in found:
            continue
        logits = model(batch, draws=seed(attempt), attended=(attended := Attended()))
        model.attention.baseline.fill_(baseline)
        policy_loss = model.policy_loss(attended, logits, batch.targets)
        one = gradients(Told().loss(logits, batch.targets) + policy_loss, model)
        chosen = attended.weights.gather(-1, attended.chosen[..., None])[..., 0]
        probability = chosen[asked].prod().item()
        found[choice] = {name: probability * d for name, d in one.items()}
        mass += probability
        if mass > 1 - 1e-12:
            break
    sizes = [length for length, steps in zip(*lengths, strict=True) for _ in range(steps)]
    assert len(found) == math.prod(sizes)
    mean = {name: sum(one[name] for one in found.values()) for name in net.p}

    costs, bonus = [], []
    for xs, answer in singly(batch):
        costs.append(plain.expected_cost(net, xs, answer))
        bonus.append([plain.entropy(step.weights) for step in plain.forced(net, xs, answer)])
    same_gradients(mean, gradients(plain.loss(costs) - ENTROPY * plain.loss(bonus), model))


@pytest.mark.parametrize("score", SCORES)
def test_a_drawn_steps_gradient(score: str) -> None:
    """Not only in the mean: of every choice met, with unequal lengths and two layers."""
    model, net = both(**hard(score, **{"model.layers": 2, "decoder.context": "both"}))
    batch = drawn(seed(5), [3, 5, 1], [2, 4, 3])
    seen = set()
    for attempt in range(5):
        attended = Attended()
        logits = model(batch, draws=seed(attempt), attended=attended)
        model.attention.baseline.fill_(0.7)
        loss = Told().loss(logits, batch.targets)
        loss = loss + model.policy_loss(attended, logits, batch.targets)
        costs, policy = [], []
        for b, (xs, answer) in enumerate(singly(batch)):
            chosen = attended.chosen[: len(answer), b].tolist()
            seen.add(tuple(chosen))
            steps = plain.forced(net, xs, answer, choices=chosen)
            assert_close(logits[: len(answer), b], torch.stack([step.logits for step in steps]))
            pairs = list(zip(steps, answer, strict=True))
            costs.append([plain.cost(step, y) for step, y in pairs])
            policy.append([plain.policy(step, y, 0.7, ENTROPY) for step, y in pairs])
        expected = plain.loss(costs) + plain.loss(policy)
        same_gradients(gradients(loss, model), gradients(expected, model))
    assert len(seen) > 6


def test_steps_are_drawn_as_often_as_they_weigh() -> None:
    """N = 20,000: each share within five binomial deviations, and two steps' choices independent."""
    model, net = both(0, 3.0, **hard("general"))
    count = 20_000
    batch = drawn(seed(6), [3, 4], [2, 2])
    (xs, answer), _ = singly(batch)
    weights = [step.weights.detach().numpy() for step in plain.forced(net, xs, answer)]
    assert all(np.ptp(w) > 0.3 for w in weights)
    attended = Attended()
    model(copies(batch, count), draws=seed(0), attended=attended)
    for s in range(2):
        share = attended.chosen[s].bincount(minlength=3).numpy() / count
        assert len(share) == 3  # the fourth step is not this sequence's
        bound = 5 * np.sqrt(weights[s] * (1 - weights[s]) / count)
        assert (np.abs(share - weights[s]) <= bound).all()
    together = (3 * attended.chosen[0] + attended.chosen[1]).bincount(minlength=9).numpy()
    expected = np.outer(*weights).ravel() * count
    assert stats.chisquare(together, expected).pvalue > RARE


def test_the_baseline_follows_the_mean_cost() -> None:
    """ln C at first; after each update a share of 1 - decay of the way to the batch's loss."""
    model = made(**hard("general", **{"attention.decay": 0.75}))
    # a buffer of float32, seven digits, until the model is made double
    assert float(model.attention.baseline) == pytest.approx(math.log(CLASSES), rel=1e-7)
    expected = float(model.attention.baseline)
    for attempt in range(4):
        batch = drawn(seed(attempt), [3, 5, 1], [2, 4, 3])
        attended = Attended()
        logits = model(batch, draws=seed(attempt), attended=attended)
        assert float(model.attention.baseline) == expected
        model.policy_loss(attended, logits, batch.targets)
        assert float(model.attention.baseline) == expected
        model.settle(attended)
        mean = Told().loss(logits, batch.targets).item()
        expected += 0.25 * (mean - expected)
        assert float(model.attention.baseline) == pytest.approx(expected, rel=1e-12)
        assert not model.attention.baseline.requires_grad
    attended.cost = math.nan  # of an update that was not finite, nothing is remembered
    model.settle(attended)
    assert float(model.attention.baseline) == pytest.approx(expected, rel=1e-12)


def test_the_same_draws_choose_the_same_steps() -> None:
    model, batch = made(**hard("general")), drawn(seed(7), [5, 4, 5], [4, 4, 2])
    before = torch.get_rng_state()
    first, again, other = (model(batch, draws=seed(k)) for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


# --- teacher forcing -----------------------------------------------------------------------------

FORCED: list[dict[str, object]] = [
    {"decoder.context": "state"},
    {"decoder.context": "both", "model.layers": 2, "model.residual": True, "model.embedding": 2},
    {"decoder.context": "attention", "attention.name": "soft", "model.deep_input": 1},
    {"attention.name": "soft", "attention.score": "additive", "model.cell": "gru"},
]


def at_rate(rate: float, flat: dict[str, object]) -> tuple[Model, plain.Network]:
    return both(**flat, decoder__teacher_forcing=rate)


def unequal(flat: dict[str, object]) -> Batch:
    return drawn(seed(8), [3, 5, 1], [2, 4, 3], symbols="model.embedding" in flat)


@pytest.mark.parametrize("flat", FORCED, ids=str)
def test_told_always_what_is_right(flat: dict[str, object]) -> None:
    model, _ = at_rate(1.0, flat)
    batch = unequal(flat)
    assert torch.equal(model(batch, draws=seed(0)), model(batch))


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("flat", FORCED, ids=str)
def test_told_always_its_own(flat: dict[str, object], engine: str) -> None:
    """At rate 0 training's predictions are those of a network told what it writes; others' are not."""
    model, net = at_rate(0.0, flat | {"train.engine": engine})
    batch = unequal(flat)
    trained = model(batch, draws=seed(0))
    symbols = greedy(model, batch, 4, None)
    assert_close(trained, model(Batch(batch.inputs, symbols, batch.ends)))
    costs = []
    for b, (xs, answer) in enumerate(singly(batch)):
        steps = plain.forced(net, xs, answer, own=[True] * len(answer))
        assert_close(trained[: len(answer), b], torch.stack([step.logits for step in steps]))
        costs.append([plain.cost(step, y) for step, y in zip(steps, answer, strict=True)])
        right = plain.forced(net, xs, answer)
        assert_close(model(batch)[: len(answer), b], torch.stack([step.logits for step in right]))
    loss = Told().loss(trained, batch.targets)
    same_gradients(gradients(loss, model), gradients(plain.loss(costs), model))


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("flat", FORCED, ids=str)
def test_told_the_right_symbol_at_that_rate(flat: dict[str, object], rate: float) -> None:
    """Of 4,000 copies each last step shows which symbols before were the right ones: as often as so
    many independent chances of ``rate`` would have it. The gradient is the mean of the copies'.
    """
    model, net = at_rate(rate, flat)
    count = 4000
    batch = copies(drawn(seed(9), [5, 5], [4, 4], symbols="model.embedding" in flat), count)
    (xs, _), *_ = singly(batch.take(slice(1)))
    # Never what the network would write, so that to be told it is to be told something else.
    answer: list[int] = []
    for s in range(4):
        paths = itertools.product([False, True], repeat=s)
        own = {plain.forced(net, xs, [*answer, 0], [False, *p])[-1].best for p in paths}
        answer.append(min(set(range(CLASSES)) - own, default=0))
    batch = Batch(batch.inputs, torch.tensor(answer)[:, None].expand(-1, count), None)
    logits = model(batch, draws=seed(1))
    times, chances, losses = [], [], []
    for own in itertools.product([False, True], repeat=3):
        steps = plain.forced(net, xs, answer, [False, *own])
        same = (logits - torch.stack([step.logits for step in steps])[:, None]).abs() < 1e-9
        times.append(int(same.all(-1).all(0).sum()))
        chances.append(math.prod(1 - rate if k else rate for k in own))
        losses.append(plain.loss([[plain.cost(w, y) for w, y in zip(steps, answer, strict=True)]]))
    assert sum(times) == count  # the eight ways are told apart, and there is no ninth
    assert stats.chisquare(times, np.array(chances) * count).pvalue > RARE
    mean = sum(n / count * loss for n, loss in zip(times, losses, strict=True))
    same_gradients(gradients(Told().loss(logits, batch.targets), model), gradients(mean, model))
