"""What a task's numbers are judged by, as the store tells it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.data.wording import counted


@dataclass(frozen=True)
class Task:
    """What a reader must know to judge a number on this task; None where the store does not say."""

    key: str
    title: str = ""
    version: tuple[str, ...] = ()  # what its parameters say in words: the data, for instance
    length: float | None = None  # the parameter that says how long the lag is
    steps: float | None = None  # that are read, of the longest sequence
    written: float = 0.0  # steps that are written after those that are read
    loss: str = "loss"
    chance_loss: float | None = None
    plateaus: Mapping[str, float] = field(default_factory=dict)
    solved: str = ""
    metric: str | None = None
    chance_metric: float | None = None
    solved_loss: float | None = None  # the criterion, where it is a level of the loss
    solved_metric: float | None = None  # the same, of the metric

    def met(self, loss: float, metric: float) -> bool | None:
        """Whether these numbers meet the criterion, where it is a level of one of them, else None.

        For runs of a store that does not say it of each (``test/criterion_met``).
        """
        if self.solved_metric is not None:
            return metric >= self.solved_metric
        return loss < self.solved_loss if self.solved_loss is not None else None

    @property
    def family(self) -> str:
        return self.title or self.key

    @property
    def caption(self) -> str:
        steps = f", {counted(round(self.steps), 'step')}" if self.steps is not None else ""
        if steps and self.written:
            steps += f" read and then up to {self.written:g} written"
        return f"{self.title}{steps}" if self.title else self.key

    @property
    def span(self) -> float | None:
        """The steps over which a gradient was followed: those read and those written."""
        return None if self.steps is None else self.steps + self.written


def read_task(key: str, card: Mapping[str, Any], params: Mapping[str, str]) -> Task:
    def known(value: Any) -> float | None:
        found = number(value)
        return None if math.isnan(found) else found

    return Task(
        key=key,
        title=str(card.get("title") or ""),
        version=_version(params),
        length=known(card.get("length")),
        steps=known(card.get("steps", card.get("length"))),
        written=known(card.get("written")) or 0.0,
        loss=str(card.get("loss") or "loss"),
        chance_loss=known(card.get("chance_loss")),
        plateaus=_numbers(card.get("plateaus")),
        solved=str(card.get("solved") or ""),
        metric=str(card.get("metric") or "") or None,
        chance_metric=known(card.get("chance_metric")),
        # The parameters say it too, for most tasks: for those whose card does not.
        solved_loss=known(card.get("solved_loss", params.get("task.solved_below"))),
        solved_metric=known(card.get("solved_metric", params.get("task.solved_at"))),
    )


def _numbers(given: Any) -> dict[str, float]:
    named = given.items() if isinstance(given, dict) else ()
    return {str(k): number(v) for k, v in named if not math.isnan(number(v))}


def _version(params: Mapping[str, str]) -> tuple[str, ...]:
    """Its parameters that are no numbers, such as "version urnn", but for those it has not."""
    told = {k.removeprefix("task."): v for k, v in params.items() if k.startswith("task.")}
    return tuple(
        f"{name} {value}"
        for name, value in sorted(told.items())
        if name != "name" and value not in ("", "none", "searched") and math.isnan(number(value))
    )


def number(text: Any) -> float:
    """NaN for what is not a number, such as "none" and "searched"."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
