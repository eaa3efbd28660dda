"""The embedded Reber grammar: its graph, its strings, and what may follow what."""

from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from study.tasks.base import NO_TARGET, Task, share_all_right

SYMBOLS = "BTSXPVE"
B, T, S, X, P, V, E = range(len(SYMBOLS))

# From each node of the Reber grammar the two ways out, as (symbol, node); one way, twice.
_REBER = (
    ((B, 1), (B, 1)),
    ((T, 2), (P, 3)),
    ((S, 2), (X, 4)),
    ((T, 3), (V, 5)),
    ((X, 3), (S, 6)),
    ((P, 4), (V, 6)),
    ((E, 7), (E, 7)),
)
START, CHOICE, AFTER_T, AFTER_P, LAST, OVER = 0, 1, 2, 10, 18, 19
SHORTEST = 9  # B T BTXSE T E


def _graph() -> tuple[Tensor, Tensor]:
    """(20,2) symbols and (20,2) next nodes: B, then T or P, a Reber string, the same T or P, E."""
    ways = {
        START: ((B, CHOICE), (B, CHOICE)),
        CHOICE: ((T, AFTER_T), (P, AFTER_P)),
        LAST: ((E, OVER), (E, OVER)),
        OVER: ((B, CHOICE), (B, CHOICE)),  # the next string, where one follows
    }
    for outer, symbol in ((AFTER_T, T), (AFTER_P, P)):
        for node, ((a, to_a), (b, to_b)) in enumerate(_REBER):
            ways[outer + node] = ((a, outer + to_a), (b, outer + to_b))
        ways[outer + 7] = ((symbol, LAST), (symbol, LAST))
    rows = [ways[node] for node in range(len(ways))]
    return torch.tensor([[s for s, _ in r] for r in rows]), torch.tensor(
        [[to for _, to in r] for r in rows]
    )


WAYS, LEADS_TO = _graph()
NODES = len(WAYS)
LEGAL = torch.zeros(NODES, len(SYMBOLS), dtype=torch.bool).scatter_(1, WAYS, True)
FOLLOWS = torch.zeros(NODES, len(SYMBOLS), dtype=torch.long).scatter_(1, WAYS, LEADS_TO)
CHOICES = LEGAL.sum(1)


def walk(steps: int, generator: Generator, n: int) -> tuple[Tensor, Tensor]:
    """Symbols (steps,n) of strings one after another, and the nodes (steps,n) reached by them."""
    turns = torch.randint(0, 2, (steps, n), generator=generator)
    node = torch.zeros(n, dtype=torch.long)
    symbols, nodes = [], []
    for turn in turns:
        symbols.append(WAYS[node, turn])
        node = LEADS_TO[node, turn]
        nodes.append(node)
    return torch.stack(symbols), torch.stack(nodes)


def nodes_before(targets: Tensor) -> Tensor:
    """(S,B) symbols that follow a string's first B -> the node from which each was chosen."""
    node = torch.full(targets.shape[1:], CHOICE)
    nodes = []
    for target in targets:
        nodes.append(node)
        node = FOLLOWS[node, target.clamp(min=0)]
    return torch.stack(nodes)


def successors_told(predictions: Tensor, targets: Tensor) -> Tensor:
    """(S,B): whether the most active outputs are the legal successors."""
    legal = LEGAL[nodes_before(targets)]
    least = predictions.masked_fill(~legal, torch.inf).amin(-1)
    most = predictions.masked_fill(legal, -torch.inf).amax(-1)
    return least > most


def share_legal(predictions: Tensor, targets: Tensor) -> float:
    """Share of sequences at whose every step the most active outputs are the legal successors."""
    return share_all_right(successors_told(predictions, targets), targets != NO_TARGET)


def faultless_steps(predictions: Tensor, targets: Tensor) -> Tensor:
    """(B,): steps of each stream before the first at which they are not; all of them if none."""
    return successors_told(predictions, targets).long().cumprod(0).sum(0)


class NextSymbol(Task):
    """Read a string of the grammar and predict every next symbol.

    ``legal`` is the share of sequences throughout which the legal successors are the most active
    outputs; what is legal differs between sequences at most steps, so that chance gets none right.
    """

    reads: ClassVar[Literal["last", "every"]] = "every"
    causal: ClassVar[bool] = True
    loss_name: ClassVar[str] = "cross-entropy (nats a step)"
    metric: ClassVar[str | None] = "legal"

    @property
    def input_size(self) -> int:
        return len(SYMBOLS)

    @property
    def output_size(self) -> int:
        return len(SYMBOLS)

    @property
    def alphabet(self) -> str:
        return SYMBOLS

    @property
    def answers(self) -> str:
        return SYMBOLS

    @cached_property
    def levels(self) -> tuple[float, float]:
        """Chance and floor."""
        raise NotImplementedError

    @property
    def chance_loss(self) -> float:
        return self.levels[0]

    @property
    def floor_loss(self) -> float:
        return self.levels[1]

    @property
    def chance_metric(self) -> float:
        return 0.0

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "legal": share_legal(predictions, targets),
        }
