"""What a probe is, when it runs, and the registry of them."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, Self, TypeVar, get_args

from torch import Generator

from study.base.errors import UserError, unknown
from study.base.registry import Registry
from study.networks.model import Model
from study.probes.once import Once
from study.tasks.base import Batch, Task

# Before the first update; at set points of training; after the last update; of the parameters that are
# kept, which solved the task or had the best validation loss. A trial that diverged has no best.
Stage = Literal["init", "training", "final", "best"]
STAGES: tuple[Stage, ...] = get_args(Stage)

CHOICES = ("default", "none", "all")


class Finding(Protocol):
    """What a probe returns: plain values, as JSON can hold them."""

    def as_dict(self) -> dict[str, Any]: ...

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self: ...

    def summary(self) -> dict[str, float]:
        """The finite numbers that runs are sorted by; what is not there is absent.

        A metric is called after probe, stage and name; a slash in a name becomes a dot there.
        """
        ...


@dataclass(frozen=True)
class Subject:
    """What there is to measure, and with what: a probe's parameters have these names.

    ``batch`` are sequences of the validation set, ``width`` is that of beam search. Draws, if any, come
    from ``generator``, which is new for every measurement. ``once`` has what another probe of the same
    network at the same moment has measured already.
    """

    model: Model
    task: Task
    batch: Batch
    generator: Generator
    width: int = 1
    once: Once = field(default_factory=Once)


Why = Callable[[Model, Task], str | None]


def _always(model: Model, task: Task) -> None:
    return None


@dataclass(frozen=True)
class Probe:
    """A measurement that leaves the network as it is.

    ``finding`` is the class of what it returns; ``measure`` may return None too: not finite, or what its
    docstring says. A ``dear`` one costs more than a few passes over a batch; it runs on confirmations, or
    when it is asked for by name. ``why_not`` says in a word why it does not fit a network and a task, and
    is None where it does.
    """

    name: str
    finding: type[Finding]
    measure: Callable[..., Finding | None]
    stages: tuple[Stage, ...]
    dear: bool = False
    why_not: Why = _always

    def __call__(self, subject: Subject) -> Finding | None:
        asked = inspect.signature(self.measure).parameters
        given = {f.name: getattr(subject, f.name) for f in fields(subject) if f.name in asked}
        return self.measure(**given)

    @property
    def about(self) -> str:
        """The first line of its file."""
        told = sys.modules[self.measure.__module__].__doc__ or ""
        return told.strip().splitlines()[0]


F = TypeVar("F", bound=Callable[..., Any])


class Probes(Registry[Probe]):
    """Probes by name, which is that of the function that measures."""

    def register(
        self,
        finding: type[Finding],
        *,
        at: tuple[Stage, ...],
        dear: bool = False,
        why_not: Why = _always,
    ) -> Callable[[F], F]:
        """Decorator of ``name(model, task, batch, …) -> finding | None``.

        The function names what it needs of a `Subject`; its other parameters have defaults. Raises
        ValueError for one that has none, and for a stage that there is not.
        """
        if wrong := [stage for stage in at if stage not in STAGES]:
            raise ValueError(f"no stage {wrong[0]!r}; known: {', '.join(STAGES)}")

        def add(measure: F) -> F:
            known = {f.name for f in fields(Subject)}
            for name, parameter in inspect.signature(measure).parameters.items():
                if name not in known and parameter.default is parameter.empty:
                    raise ValueError(f"probe {measure.__name__!r}: nothing is given as {name!r}")
            probe = Probe(measure.__name__, finding, measure, at, dear, why_not)
            self.add(probe.name, probe)
            return measure

        return add

    def chosen(self, text: str, *, dear: bool = False) -> list[Probe]:
        """Those that a setting names, in the order of the registry.

        "default": all that are cheap, with ``dear`` the others too; "none"; "all"; or names between
        commas, of which "default" may be one. Raises UserError for an unknown name and for one given
        twice.
        """
        named = list(self._named(text))
        if len(set(named)) < len(named):
            raise UserError(f"probes: {text!r} has a name twice")
        if named == ["none"]:
            return []
        return [
            probe
            for name, probe in self.items()
            if name in named or "all" in named or ("default" in named and (dear or not probe.dear))
        ]

    def _named(self, text: str) -> Iterator[str]:
        names = [part.strip() for part in text.split(",")]
        for name in names:
            if name in ("none", "all") and len(names) > 1:
                raise UserError(f"probes: {name!r} goes with no other name (got {text!r})")
            if name not in CHOICES and name not in self:
                raise unknown(self.noun, name, [*CHOICES, *self])
            yield name


PROBES = Probes("probe")
