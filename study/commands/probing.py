"""`longlag probe`: what probes find in the network of a tracked run, untrained and trained."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.base.errors import UserError
from study.base.seeding import generator
from study.commands.tracked_network import Tracked
from study.networks.model import Model
from study.probes import PROBES, Probe, Subject
from study.probes.base import Finding, Stage
from study.trial.construction import build_model
from study.trial.probing import PROBED_SEQUENCES


@dataclass(frozen=True)
class Measurement:
    """Of the network at a stage: "init", untrained, or "best", with the parameters that were kept.

    ``finding`` is None where the probe says so, such as when not finite, and where it raised an
    exception, which ``failure`` tells.
    """

    stage: Stage
    step: int
    seconds: float
    finding: Finding | None
    failure: str = ""

    @property
    def summary(self) -> dict[str, float]:
        return {} if self.finding is None else self.finding.summary()

    def as_dict(self) -> dict[str, Any]:
        """As in a run's file, and how long it took."""
        found = None if self.finding is None else self.finding.as_dict()
        told = {"stage": self.stage, "step": self.step, "seconds": self.seconds, "finding": found}
        return told | ({"failure": self.failure} if self.failure else {})


@dataclass(frozen=True)
class Probed:
    """A probe's measurements; none where it does not fit, and ``why_not`` then."""

    probe: Probe
    measurements: Sequence[Measurement]
    why_not: str | None = None

    @property
    def is_failed(self) -> bool:
        return any(measurement.failure for measurement in self.measurements)

    def found(self) -> dict[Stage, Finding]:
        return {m.stage: m.finding for m in self.measurements if m.finding is not None}


def chosen(text: str) -> list[Probe]:
    """Those that an option names, dear ones too. Raises UserError for a name that is none, and for
    no probe at all."""
    probes = PROBES.chosen(text, dear=True)
    if not probes:
        raise UserError(f"--probes {text!r} leaves nothing to measure")
    return probes


def probed(run: Tracked, probes: Sequence[Probe]) -> Iterator[Probed]:
    """One after the other, on the sequences and with the draws that the run's own probes had.

    At "init" where the probe is for that stage, at "best" where it is for any later one.
    """
    task = run.config.task
    networks: Mapping[Stage, tuple[Model, int]] = {
        "init": (build_model(run.config), 0),
        "best": (run.model, run.best_step),
    }
    batch = task.validation().take(slice(PROBED_SEQUENCES))
    for probe in probes:
        why_not = probe.why_not(run.model, task)
        if why_not is not None:
            yield Probed(probe, [], why_not)
            continue
        made = []
        for stage in _stages(probe):
            model, step = networks[stage]
            draws = generator("probes", run.config.seed, probe.name, stage, step)
            subject = Subject(model, task, batch, draws, run.config.decoder.beam)
            made.append(_measurement(probe, subject, stage, step))
        yield Probed(probe, made)


def _stages(probe: Probe) -> list[Stage]:
    stages: list[Stage] = ["init"] if "init" in probe.stages else []
    if any(stage != "init" for stage in probe.stages):
        stages.append("best")
    return stages


def _measurement(probe: Probe, subject: Subject, stage: Stage, step: int) -> Measurement:
    began, found, failure = time.perf_counter(), None, ""
    try:
        found = probe(subject)
    except Exception as error:  # the other probes measure all the same
        failure = f"{type(error).__name__}: {error}"
    return Measurement(stage, step, time.perf_counter() - began, found, failure)
