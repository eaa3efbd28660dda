"""Networks that read and then write, and those read at their steps: one sequence, one symbol at a time.

A Network holds its numbers by the names of a state dictionary; a vector is (n,), a sequence a list of
vectors, a symbol an int, and None is the nothing told before the first. Cells are stepped by the
witnesses in tests/cells/witness. Sources:

Cho et al. (2014), Sutskever, Vinyals & Le (2014): an encoder's last state starts the decoder, or is
    an input of each of its steps; the probability of an answer is the product over its symbols.
Bahdanau, Cho & Bengio (2015): energy vᵀ tanh(W h + U m), α = softmax, context Σ α m.
Luong, Pham & Manning (2015), section 3.1: scores hᵀm and hᵀ W m, tanh(W_c [context; h]), global,
    after the decoder's step.
Xu et al. (2015), section 4.1: one place is drawn from α; α's gradient by Williams (1992).
Bengio et al. (2015): with probability 1 - r the decoder is told what it would itself have written.
Pascanu, Gulcehre, Cho & Bengio (2014): deep input, deep output, deep transition.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, tanh
from witness import WITNESSES, States

Phi = Callable[[Tensor], Tensor]
Vectors = list[Tensor]
Answer = tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """``p`` by full name; ``letters`` renames W_, U_, b_ by what follows, as the cell's witness has it."""

    p: Mapping[str, Tensor]
    cell: str = "lstm"
    letters: Mapping[str, str] = field(default_factory=dict)
    phi: Phi = tanh
    layers: int = 1
    bidirectional: bool = False
    residual: bool = False
    context: str = "state"  # state, input, both or attention
    attention: str = "none"  # none, soft or hard
    score: str = ""  # dot, general or additive

    def affine(self, name: str, x: Tensor) -> Tensor:
        y = self.p[f"{name}.weight"] @ x
        return y + self.p[f"{name}.bias"] if f"{name}.bias" in self.p else y

    def deep(self, name: str, x: Tensor) -> Tensor:
        """φ(A_n φ(… φ(A_1 x + a_1) …) + a_n); x itself where there are none."""
        for k in itertools.count():
            if f"{name}.layers.{k}.weight" not in self.p:
                return x
            x = self.phi(self.affine(f"{name}.layers.{k}", x))
        raise AssertionError

    def embed(self, name: str, x: Tensor) -> Tensor:
        """Σ_v x_v E_v: of a one-hot vector its symbol's row, of zeros zeros."""
        return x @ self.p[f"{name}.weight"] if f"{name}.weight" in self.p else x

    def layer(self, name: str) -> "Layer":
        return Layer(
            self, {k[len(name) + 1 :]: v for k, v in self.p.items() if k.startswith(f"{name}.")}
        )


@dataclass(frozen=True)
class Layer:
    net: Network
    given: Mapping[str, Tensor]

    def start(self) -> States:
        matrix = next(v for k, v in self.given.items() if k.startswith("U"))
        return {s: matrix.new_zeros(len(matrix)) for s in WITNESSES[self.net.cell].states}

    def step(self, x: Tensor, s: States) -> States:
        """A deep transition stands between h and the matrices that read it; c and its gates keep c."""
        given, h = dict(self.given), s["h"]
        for k in itertools.count(1):
            if f"U_deep{k}" not in given:
                break
            h = self.net.phi(given.pop(f"U_deep{k}") @ h + given.pop(f"b_deep{k}"))
        renamed = {}
        for name, value in given.items():
            kind, _, letter = name.partition("_")
            renamed[f"{kind}_{self.net.letters.get(letter, letter)}"] = value
        settings = {"phi": self.net.phi} if self.net.cell == "elman" else {}
        return WITNESSES[self.net.cell](renamed, x, s | {"h": h}, **settings)

    def run(self, xs: Vectors, s: States | None = None) -> list[States]:
        states = [self.start() if s is None else s]
        for x in xs:
            states.append(self.step(x, states[-1]))
        return states[1:]


@dataclass(frozen=True)
class Read:
    """What reading leaves: the top's outputs, each layer's states at each step (forward direction)."""

    outputs: Vectors
    states: list[list[States]]  # [layer][step]
    summary: Tensor


def read(net: Network, xs: Vectors, name: str = "encoder") -> Read:
    """Layer on layer, in one direction or both, of one sequence without padding."""
    xs = [net.deep("deep", net.embed("embedding", x)) for x in xs]
    stacked = net.layers > 1 or net.bidirectional
    numbers = itertools.count()
    every = []
    for depth in range(net.layers):
        states = net.layer(f"{name}.layers.{next(numbers)}" if stacked else name).run(xs)
        outputs = [s["h"] for s in states]
        half = len(outputs[0])
        if net.bidirectional:
            back = net.layer(f"{name}.layers.{next(numbers)}").run(xs[::-1])[::-1]
            outputs = [torch.cat([h, s["h"]]) for h, s in zip(outputs, back, strict=True)]
        if net.residual and depth > 0:
            outputs = [y + x for y, x in zip(outputs, xs, strict=True)]
        every.append(states)
        xs = outputs
    return Read(xs, every, torch.cat([xs[-1][:half], xs[0][half:]]))


def predictions(net: Network, xs: Vectors, last: bool) -> Vectors:
    """Of a network that is read at its steps: the logits at each of them, or once all is read."""
    found = read(net, xs, "layer")
    outputs = [found.summary] if last else found.outputs
    return [net.affine("readout", net.deep("after", y)) for y in outputs]


def first(net: Network, found: Read) -> list[States]:
    """Each layer's state before anything is written."""
    if net.context in ("state", "both"):
        return [states[-1] for states in found.states]
    stacked = net.layers > 1
    return [
        net.layer(f"decoder.layers.{k}" if stacked else "decoder").start()
        for k in range(net.layers)
    ]


def scores(net: Network, h: Tensor, outputs: Vectors) -> Tensor:
    """One number for each step read; those of Luong et al. (2015), eq. 8, and Bahdanau et al. (2015)."""
    found = []
    for m in outputs:
        if net.score == "dot":
            found.append(h @ m)
        elif net.score == "general":
            found.append(h @ net.affine("attention.keys", m))
        else:
            energy = tanh(net.affine("attention.queries", h) + net.affine("attention.keys", m))
            found.append(net.affine("attention.energy", energy)[0])
    return torch.stack(found)


@dataclass(frozen=True)
class Written:
    """One step of the decoder: (C,) logits, its states, and where it looked, with which weights."""

    logits: Tensor
    states: list[States]
    weights: Tensor | None = None  # (T,) before anything is chosen
    chosen: int | None = None

    @property
    def best(self) -> int:
        return max(range(len(self.logits)), key=self.logits.tolist().__getitem__)


def write(
    net: Network, found: Read, states: list[States], told: int | None, choice: int | None = None
) -> Written:
    """The step after ``told``. ``choice``: the place hard attention looks at, its heaviest if None."""
    x = torch.zeros_like(net.p["readout.bias"])
    if told is not None:
        x[told] = 1
    x = net.embed("target_embedding", x)
    if net.context in ("input", "both"):
        x = torch.cat([x, found.summary])
    x = net.deep("target_deep", x)
    new = []
    for depth in range(net.layers):
        name = f"decoder.layers.{depth}" if net.layers > 1 else "decoder"
        new.append(net.layer(name).step(x, states[depth]))
        x = new[-1]["h"] + x if net.residual and depth > 0 else new[-1]["h"]
    if net.attention == "none":
        return Written(net.affine("readout", net.deep("after", x)), new)
    energies = scores(net, x, found.outputs)
    weights = (energies - torch.logsumexp(energies, 0)).exp()
    if net.attention == "soft":
        look = sum(a * m for a, m in zip(weights, found.outputs, strict=True))
    else:
        choice = int(weights.argmax()) if choice is None else choice
        look = found.outputs[choice]
    y = tanh(net.affine("attention.combine", torch.cat([look, x])))
    return Written(net.affine("readout", net.deep("after", y)), new, weights, choice)


def forced(
    net: Network,
    xs: Vectors,
    answer: Sequence[int],
    own: Sequence[bool] = (),
    choices: Sequence[int] | None = None,
) -> list[Written]:
    """Each step told the right symbol before, or, where ``own`` says so, what was itself predicted."""
    found = read(net, xs)
    states, told, steps = first(net, found), None, []
    for s, right in enumerate(answer):
        if s and own and own[s]:
            told = steps[-1].best
        steps.append(write(net, found, states, told, None if choices is None else choices[s]))
        states, told = steps[-1].states, right
    return steps


def cost(step: Written, right: int) -> Tensor:
    """-ln softmax(logits)[right]."""
    return torch.logsumexp(step.logits, 0) - step.logits[right]


def loss(runs: Sequence[Sequence[Tensor]]) -> Tensor:
    """The costs of each sequence's symbols -> the mean over sequences of each one's mean."""
    return sum(sum(costs) / len(costs) for costs in runs) / len(runs)


def entropy(weights: Tensor) -> Tensor:
    return -(weights * weights.log()).sum()


def policy(step: Written, right: int, baseline: float, weight: float) -> Tensor:
    """(cost - baseline) ln α_chosen - weight H(α), the first factor held: Xu et al. (2015), eq. 12."""
    signal = cost(step, right).detach() - baseline
    return signal * step.weights[step.chosen].log() - weight * entropy(step.weights)


def expected_cost(net: Network, xs: Vectors, answer: Sequence[int]) -> list[Tensor]:
    """Σ over the places hard attention may look at, each by its probability, of each step's cost.

    What is looked at touches no later step: the sum over all choices is one at each step alone.
    """
    told = forced(net, xs, answer)
    found = read(net, xs)
    before = [first(net, found), *(step.states for step in told)]
    costs = []
    for s, right in enumerate(answer):
        previous = None if s == 0 else answer[s - 1]
        costs.append(
            sum(
                told[s].weights[t] * cost(write(net, found, before[s], previous, t), right)
                for t in range(len(xs))
            )
        )
    return costs


# --- writing on one's own ------------------------------------------------------------------------


def greedy(net: Network, xs: Vectors, steps: int, end: int | None) -> Answer:
    """The most probable symbol at each step, told as the one before; up to ``end``, that included."""
    found = read(net, xs)
    states, told, answer = first(net, found), None, []
    while len(answer) < steps and (told is None or told != end):
        step = write(net, found, states, told)
        states, told = step.states, step.best
        answer.append(told)
    return tuple(answer)


def log_probability(
    net: Network, xs: Vectors, answer: Sequence[int], temperature: float = 1.0
) -> float:
    """ln Π_s p(y_s | y_<s, x), p the softmax of the logits over the temperature."""
    steps = forced(net, xs, answer)
    parts = (
        (step.logits / temperature).log_softmax(0)[y] for step, y in zip(steps, answer, strict=True)
    )
    return math.fsum(part.item() for part in parts)


def distribution(
    net: Network, xs: Vectors, steps: int, end: int | None, temperature: float = 1.0
) -> dict[Answer, float]:
    """ln p of every answer there is, up to ``end`` or of all steps; p over all of them sums to 1."""
    found = read(net, xs)
    complete: dict[Answer, float] = {}

    def extend(answer: Answer, log_probability: float, states: list[States]) -> None:
        told = answer[-1] if answer else None
        if len(answer) == steps or (answer and told == end):
            complete[answer] = log_probability
            return
        step = write(net, found, states, told)
        for symbol, value in enumerate((step.logits / temperature).log_softmax(0).tolist()):
            extend((*answer, symbol), log_probability + value, step.states)

    extend((), 0.0, first(net, found))
    return complete


def beam(
    net: Network, xs: Vectors, steps: int, width: int, end: int | None
) -> tuple[Answer, float]:
    """The ``width`` most probable beginnings at every step, those that have ended among them."""
    found = read(net, xs)
    kept = [((), 0.0, first(net, found))]
    for _ in range(steps):
        longer = []
        for answer, total, states in kept:
            if answer and answer[-1] == end:
                longer.append((answer, total, states))
                continue
            step = write(net, found, states, answer[-1] if answer else None)
            for symbol, value in enumerate(step.logits.log_softmax(0).tolist()):
                longer.append(((*answer, symbol), total + value, step.states))
        kept = sorted(longer, key=lambda one: -one[1])[:width]
    return kept[0][:2]
