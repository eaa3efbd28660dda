"""What the probes found in the runs that are shown, from the runs' files, when a figure asks for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from analysis.data.probe_files import ProbeFinding
from analysis.data.wording import counted
from study.base.errors import UserError

F = TypeVar("F", bound=ProbeFinding)
ReadText = Callable[[str, str], str]  # a run's id and a file's name -> its text

TRAINED = ("final", "best")


@dataclass(frozen=True)
class Found(Generic[F]):
    """A finding of one run after ``step`` updates."""

    arm: str
    task: str
    architecture: str
    run_id: str
    stage: str
    step: int
    finding: F


class _Entry(BaseModel):
    """Of a probe's file, which is a list of these; ``finding`` is checked by its own class."""

    stage: str
    step: int
    finding: Any = None


_ENTRIES = TypeAdapter(list[_Entry])


def _nothing(run_id: str, path: str) -> str:
    raise UserError(f"run {run_id} has no artifact {path!r}")


@dataclass(frozen=True, eq=False)
class Probed:
    """Of every arm its confirmations and its chosen trial, as rows of `analysis.data.columns.RUNS`.

    A file is read once, when it is first asked for. What is in it and cannot be read is left out, and
    told in a line of ``notices``; a run that has no such file was not measured.
    """

    text: ReadText = _nothing
    confirmations: Sequence[Mapping[str, Any]] = ()
    chosen: Sequence[Mapping[str, Any]] = ()
    notices: list[str] = field(default_factory=list)
    _kept: dict[tuple[str, str], list[Any]] = field(default_factory=dict, repr=False)

    def of(self, kind: type[F], *stages: str) -> list[Found[F]]:
        """Findings at these stages: an arm's confirmations', or of an arm where none of them has one those
        of its chosen trial. In the order of the runs, then of time."""
        arms = dict.fromkeys(row["arm"] for row in [*self.confirmations, *self.chosen])
        found: list[Found[F]] = []
        for arm in arms:
            for rows in (self.confirmations, self.chosen):
                own = [f for row in rows if row["arm"] == arm for f in self._read(kind, row)]
                own = [f for f in own if f.stage in stages]
                found += own
                if own:
                    break
        return found

    def _read(self, kind: type[F], row: Mapping[str, Any]) -> list[Found[F]]:
        key = kind.probe, row["run_id"]
        if key not in self._kept:
            self._kept[key] = self._parsed(kind, row)
        return self._kept[key]

    def _parsed(self, kind: type[F], row: Mapping[str, Any]) -> list[Found[F]]:
        path = f"{kind.probe}.json"
        try:
            text = self.text(row["run_id"], path)
        except UserError:  # there is no such file
            return []
        except (OSError, ValueError):
            self._odd(path, row, 1)
            return []
        try:
            entries = _ENTRIES.validate_json(text)
        except ValidationError:
            self._odd(path, row, 1)
            return []
        found, odd = [], 0
        for entry in entries:
            if entry.finding is None:
                continue
            try:
                finding = kind.model_validate(entry.finding)
            except ValidationError:
                odd += 1
                continue
            where = {name: str(row[name]) for name in ("arm", "task", "architecture", "run_id")}
            found.append(Found(**where, stage=entry.stage, step=entry.step, finding=finding))
        if odd:
            self._odd(path, row, odd)
        return found

    def _odd(self, path: str, row: Mapping[str, Any], count: int) -> None:
        what = counted(count, "finding")
        self.notices.append(
            f"{what} of {path} of run {row['run_id']} cannot be read and {'is' if count == 1 else 'are'}"
            " left out."
        )
