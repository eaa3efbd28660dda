"""Looking back at every step that was read, while writing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from study.errors import UserError
from study.feedforward import linear
from study.registry import Choice, Choices
from study.tasks.base import NO_TARGET, mean_of_sequences


@dataclass
class Attended:
    """What attention did in one pass.

    ``weights`` (S,B,T) sum to 1 over the steps read. Where a single one of them was looked at,
    ``chosen`` (S,B) is which and ``log_chance`` (S,B) the logarithm of its weight.
    """

    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    chosen: Tensor | None = None
    log_chance: Tensor | None = None

    def join(self, parts: Sequence["Attended"]) -> None:
        """Take over what parts of the pass, one after the other, did."""
        self.weights = torch.cat([part.weights for part in parts])
        chosen = [part.chosen for part in parts if part.chosen is not None]
        chances = [part.log_chance for part in parts if part.log_chance is not None]
        self.chosen = torch.cat(chosen) if chosen else None
        self.log_chance = torch.cat(chances) if chances else None


class Attention(Choice):
    """Whether, and how, each step that writes looks at the outputs of all steps that were read."""

    looks: ClassVar[bool] = True

    def module(self, hidden: int, memory: int, symbols: int, generator: Generator) -> "Look | None":
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


@ATTENTION.register
class SoftAttention(_Scored):
    """Every step is looked at, as much as its weight says.

    α = softmax over t of score(h_s, m_t), context = Σ α_t m_t, and tanh(W [context; h_s]) is read.
    Luong, Pham & Manning (2015), global attention, without feeding the context back to the layers;
    the additive score is that of Bahdanau, Cho & Bengio (2015).
    """

    name: Literal["soft"] = "soft"

    def module(self, hidden: int, memory: int, symbols: int, generator: Generator) -> "Look":
        return Look(self.score, hidden, memory, generator)


@ATTENTION.register
class HardAttention(_Scored):
    """One step is looked at, drawn from the weights in training and the heaviest one otherwise.

    Which step cannot be differentiated: REINFORCE (Williams, 1992) adds (cost - baseline)·∇log α, cost
    the symbol's cross-entropy, baseline its running mean (Xu et al., 2015). Unbiased, for the step
    looked at changes nothing that is written later. ``entropy`` weighs a bonus for undecided weights,
    which keeps looking around.
    """

    name: Literal["hard"] = "hard"
    decay: float = Field(default=0.9, ge=0, lt=1, description="of the baseline, an update")
    entropy: float = Field(default=0.01, ge=0, description="weight of the entropy bonus")

    def module(self, hidden: int, memory: int, symbols: int, generator: Generator) -> "Look":
        look = LookAtOne(self.score, hidden, memory, generator)
        look.decay, look.entropy = self.decay, self.entropy
        look.baseline.fill_(math.log(symbols))  # the cost of knowing nothing
        return look


class Look(nn.Module):
    """Soft attention. ``size`` is the width H of what comes out."""

    def __init__(self, score: str, hidden: int, memory: int, generator: Generator) -> None:
        super().__init__()
        self.score, self.size = score, hidden
        if score == "dot" and hidden != memory:
            raise UserError(
                f"attention.score 'dot' compares {hidden} numbers with {memory}; "
                "take 'general' or 'additive'"
            )
        if score == "general":
            self.keys = linear(memory, hidden, generator, bias=False)
        if score == "additive":
            self.keys = linear(memory, hidden, generator, bias=False)
            self.queries = linear(hidden, hidden, generator)
            self.energy = linear(hidden, 1, generator, bias=False)
        self.combine = linear(memory + hidden, hidden, generator)

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        there: Tensor,
        draws: Generator | None = None,
        attended: Attended | None = None,
    ) -> Tensor:
        """queries (S,B,H), memory (T,B,M), there (T,B) -> (S,B,H)."""
        scores = self._scores(queries, memory).masked_fill(~there.T[None], -math.inf)
        weights = scores.softmax(dim=-1)  # (S,B,T)
        found = Attended(weights)
        context = self._context(found, memory, draws)
        if attended is not None:
            attended.join([found])
        return torch.tanh(self.combine(torch.cat([context, queries], dim=-1)))

    def _scores(self, queries: Tensor, memory: Tensor) -> Tensor:
        """(S,B,T)"""
        if self.score == "additive":
            # (S,T,B,H): the only score that takes so much memory.
            both = self.queries(queries)[:, None] + self.keys(memory)[None]
            return self.energy(both.tanh())[..., 0].transpose(1, 2)
        keys = memory if self.score == "dot" else self.keys(memory)
        return torch.einsum("sbh,tbh->sbt", queries, keys)

    def _context(self, found: Attended, memory: Tensor, draws: Generator | None) -> Tensor:
        return torch.einsum("sbt,tbm->sbm", found.weights, memory)

    def policy_loss(
        self, attended: Attended, predictions: Tensor, targets: Tensor
    ) -> Tensor | None:
        """What to add to the loss so that its gradient teaches where to look; None: nothing."""
        return None


class LookAtOne(Look):
    """Hard attention. ``baseline`` is the running mean of what a symbol costs, in nats."""

    decay: float
    entropy: float
    baseline: Tensor

    def __init__(self, score: str, hidden: int, memory: int, generator: Generator) -> None:
        super().__init__(score, hidden, memory, generator)
        self.register_buffer("baseline", torch.zeros(()))

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
        loss = mean_of_sequences(each, asked)
        with torch.no_grad():
            self.baseline.lerp_(mean_of_sequences(costs, asked), 1 - self.decay)
        return loss
