"""Looking back at every step that was read, while writing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from study.base.errors import UserError
from study.base.registry import Choice, Choices
from study.networks.feedforward import linear
from study.tasks.base import NO_TARGET, mean_of_sequences


@dataclass
class Attended:
    """What attention did in one pass.

    ``weights`` (S,B,T) sum to 1 over the steps read. Where a single one of them was looked at,
    ``chosen`` (S,B) is which, ``log_chance`` (S,B) the logarithm of its weight and ``cost``, in
    training, what a symbol cost on average, in nats.
    """

    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    chosen: Tensor | None = None
    log_chance: Tensor | None = None
    cost: float | None = None

    def join(self, parts: Sequence["Attended"]) -> None:
        """Take over what parts of the pass, one after the other, did."""
        if len(parts) == 1:
            self.weights = parts[0].weights
            self.chosen, self.log_chance = parts[0].chosen, parts[0].log_chance
            return
        self.weights = torch.cat([part.weights for part in parts])
        chosen = [part.chosen for part in parts if part.chosen is not None]
        chances = [part.log_chance for part in parts if part.log_chance is not None]
        self.chosen = torch.cat(chosen) if chosen else None
        self.log_chance = torch.cat(chances) if chances else None


MOST_NUMBERS = 200_000_000  # 800 MB in float32, a few times over


class Attention(Choice):
    """Whether, and how, each step that writes looks at the outputs of all steps that were read."""

    looks: ClassVar[bool] = True
    by_chance: ClassVar[bool] = False  # in training; it learns from what a symbol then costs

    def check(self, hidden: int, memory: int) -> None:
        """Raises UserError where states of one size cannot be compared with outputs of the other."""

    def numbers(self, batch: int, written: int, read: int, hidden: int) -> int:
        """How many are kept of a mini-batch, for its backward pass."""
        return 0

    def module(
        self, hidden: int, memory: int, symbols: int, generator: Generator
    ) -> "AttentionLayer | None":
        """For states (S,B,hidden), outputs (T,B,memory) and so many symbols to choose from."""
        raise NotImplementedError


ATTENTION: Choices[Attention] = Choices("attention")


@ATTENTION.register
class NoAttention(Attention):
    """What was read is known by what was handed over."""

    name: Literal["none"] = "none"
    looks: ClassVar[bool] = False

    def module(self, hidden: int, memory: int, symbols: int, generator: Generator) -> None:
        return None


class _Scored(Attention):
    score: Literal["dot", "general", "additive"] = Field(
        default="general", description="h·m, h·Wm (Luong) or v·tanh(Qh + Km) (Bahdanau)"
    )

    def check(self, hidden: int, memory: int) -> None:
        if self.score == "dot" and hidden != memory:
            raise UserError(
                f"attention.score 'dot' compares a decoder's {hidden} numbers with as many, and the "
                f"encoder puts out {memory}; take 'general' or 'additive'"
            )

    def numbers(self, batch: int, written: int, read: int, hidden: int) -> int:
        return batch * written * read * (hidden if self.score == "additive" else 1)


@ATTENTION.register
class SoftAttention(_Scored):
    """Every step is looked at, as much as its weight says.

    α = softmax over t of score(h_s, m_t), context = Σ α_t m_t, and tanh(W [context; h_s]) is read.
    Luong, Pham & Manning (2015), global attention, without feeding the context back to the layers;
    the additive score is that of Bahdanau, Cho & Bengio (2015), who score with the state before and
    feed the context to it.
    """

    name: Literal["soft"] = "soft"

    def module(
        self, hidden: int, memory: int, symbols: int, generator: Generator
    ) -> "AttentionLayer":
        return AttentionLayer(self.score, hidden, memory, generator)


@ATTENTION.register
class HardAttention(_Scored):
    """One step is looked at, drawn from the weights in training and the heaviest one otherwise.

    Which step cannot be differentiated: REINFORCE (Williams, 1992) adds (cost - baseline)·∇log α, cost
    the symbol's cross-entropy, baseline its running mean. That is without bias, before clipping, as
    long as the step looked at changes nothing that is written later. ``entropy`` weighs a bonus for
    undecided weights, which keeps looking around. Xu et al. (2015), Show, attend and tell, add
    the reward of the whole sentence instead, weigh it, and look softly half of the time.
    """

    name: Literal["hard"] = "hard"
    by_chance: ClassVar[bool] = True
    decay: float = Field(default=0.9, ge=0, lt=1, description="of the baseline, an update")
    entropy: float = Field(default=0.01, ge=0, description="weight of the entropy bonus")

    def module(
        self, hidden: int, memory: int, symbols: int, generator: Generator
    ) -> "AttentionLayer":
        knowing_nothing = math.log(symbols)
        return HardAttentionLayer(
            self.score, hidden, memory, generator, self.decay, self.entropy, knowing_nothing
        )


class AttentionLayer(nn.Module):
    """Soft attention. ``size`` is the width H of what comes out."""

    def __init__(self, score: str, hidden: int, memory: int, generator: Generator) -> None:
        super().__init__()
        self.score, self.size = score, hidden
        if score == "general":
            self.keys = linear(memory, hidden, generator, bias=False)
        if score == "additive":
            self.keys = linear(memory, hidden, generator, bias=False)
            self.queries = linear(hidden, hidden, generator)
            self.energy = linear(hidden, 1, generator, bias=False)
        self.combine = linear(memory + hidden, hidden, generator, bias=False)

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        mask: Tensor,
        draws: Generator | None = None,
        attended: Attended | None = None,
    ) -> Tensor:
        """queries (S,B,H), memory (T,B,M), mask (T,B) -> (S,B,H)."""
        scores = self._scores(queries, memory).masked_fill(~mask.T[None], -math.inf)
        weights = scores.softmax(dim=-1)  # (S,B,T)
        found = Attended(weights)
        context = self._context(found, memory, draws)
        if attended is not None:
            attended.join([found])
        return torch.tanh(self.combine(torch.cat([context, queries], dim=-1)))

    def _scores(self, queries: Tensor, memory: Tensor) -> Tensor:
        """(S,B,T)"""
        if self.score == "additive":
            keys, asked = self.keys(memory), self.queries(queries)
            # (T,B,H) for each symbol: the only score that takes so much memory.
            each = [self.energy((keys + query).tanh())[..., 0].T for query in asked]
            return torch.stack(each)
        keys = memory if self.score == "dot" else self.keys(memory)
        return torch.einsum("sbh,tbh->sbt", queries, keys)

    def _context(self, found: Attended, memory: Tensor, draws: Generator | None) -> Tensor:
        return torch.einsum("sbt,tbm->sbm", found.weights, memory)

    def policy_loss(
        self, attended: Attended, predictions: Tensor, targets: Tensor
    ) -> Tensor | None:
        """What to add to the loss so that its gradient teaches where to look; None: nothing."""
        return None

    def settle(self, attended: Attended) -> None:
        """The update that followed was made: what is to be remembered of it is."""


class HardAttentionLayer(AttentionLayer):
    """Hard attention. ``baseline`` is the running mean of what a symbol costs, in nats."""

    baseline: Tensor

    def __init__(
        self,
        score: str,
        hidden: int,
        memory: int,
        generator: Generator,
        decay: float,
        entropy: float,
        baseline: float,
    ) -> None:
        super().__init__(score, hidden, memory, generator)
        self.decay, self.entropy = decay, entropy
        self.register_buffer("baseline", torch.tensor(baseline))

    def _context(self, found: Attended, memory: Tensor, draws: Generator | None) -> Tensor:
        weights = found.weights
        if draws is None:
            chosen = weights.argmax(dim=-1)
        else:
            flat = weights.detach().flatten(0, 1)
            chosen = torch.multinomial(flat, 1, generator=draws).view(weights.shape[:2])
        found.chosen = chosen
        found.log_chance = weights.gather(-1, chosen[..., None])[..., 0].log()
        return memory[chosen, torch.arange(memory.shape[1], device=memory.device)]

    def policy_loss(self, attended: Attended, predictions: Tensor, targets: Tensor) -> Tensor:
        """Its gradient is (cost - baseline)·∇log α - entropy·∇H(α), weighted as the loss is."""
        assert attended.log_chance is not None
        asked = targets != NO_TARGET
        costs = functional.cross_entropy(
            predictions.detach().flatten(0, 1),
            targets.flatten(),
            ignore_index=NO_TARGET,
            reduction="none",
        ).view(targets.shape)
        weights = attended.weights
        # Where there was no step the weight is 0, and so must be its gradient, not 0·∞.
        undecided = -(weights * weights.clamp(min=1e-30).log()).sum(-1)
        each = (costs - self.baseline) * attended.log_chance - self.entropy * undecided
        attended.cost = float(mean_of_sequences(costs, asked))
        return mean_of_sequences(each, asked)

    def settle(self, attended: Attended) -> None:
        if attended.cost is not None and math.isfinite(attended.cost):
            self.baseline.lerp_(self.baseline.new_tensor(attended.cost), 1 - self.decay)
