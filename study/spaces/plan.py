"""How many runs a search of an arm has."""

from dataclasses import dataclass

from study.spaces.space import Space, planned_trials


@dataclass(frozen=True)
class Plan:
    """Of one search of an arm: see `study.spaces.space.Space`."""

    trials: int
    finalists: int = 1
    reruns: int = 0
    confirmations: int = 0

    @classmethod
    def of(cls, space: Space) -> "Plan":
        return cls(planned_trials(space), space.finalists, space.reruns, space.confirmations)

    @property
    def selects(self) -> bool:
        """Whether several trials are run again before one is chosen."""
        return min(self.finalists, self.trials) > 1 and self.reruns > 0

    @property
    def most_reruns(self) -> int:
        """Of as many finalists as there can be."""
        return min(self.finalists, self.trials) * self.reruns if self.selects else 0
