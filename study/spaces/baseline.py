"""Settings that are known to be good, such as a paper's, which a search tries before it draws any."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from study.base.toml import Scalar


class Baseline(BaseModel):
    """``where``: axis -> label, of the arms that try it; empty for every arm. ``settings`` are of what is
    searched; what they leave out is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    source: str
    where: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, Scalar]

    def of(self, labels: Mapping[str, str]) -> bool:
        """Whether an arm with these labels tries it."""
        return all(labels.get(axis) == label for axis, label in self.where.items())
