"""Which probes run in a trial, when, and on what."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from study.base.seeding import generator
from study.networks.model import Model
from study.probes.base import Finding, Stage, Subject
from study.probes.once import Once
from study.tasks.base import Batch
from study.trial.config import TrialConfig

PROBED_SEQUENCES = 64


@dataclass(frozen=True)
class Probed:
    """What a probe found after ``step`` updates; None where it says so, such as when not finite, and
    where it raised an exception, which ``failure`` tells with its traceback."""

    probe: str
    stage: Stage
    step: int
    finding: Finding | None
    failure: str = ""


class Probing:
    """A trial's probes, on the first sequences of its validation set.

    With ``dear`` the default ones are the dear ones too.
    """

    def __init__(self, config: TrialConfig, validation: Batch, *, dear: bool) -> None:
        self.probes = config.train.chosen_probes(dear=dear)
        self.batch = validation.take(slice(PROBED_SEQUENCES))
        self._config = config
        self._due = config.train.probe_steps()

    def at(self, stage: Stage, step: int, model: Model) -> Iterator[Probed]:
        """Of the probes that run at this stage and fit this network, each with draws of its own."""
        task, once = self._config.task, Once()
        for probe in self.probes:
            if stage in probe.stages and probe.why_not(model, task) is None:
                draws = generator("probes", self._config.seed, probe.name, stage, step)
                width = self._config.decoder.beam
                subject = Subject(model, task, self.batch, draws, width, once)
                try:
                    found, failure = probe(subject), ""
                except Exception:  # a measurement that fails costs the trial nothing else
                    found, failure = None, traceback.format_exc()
                yield Probed(probe.name, stage, step, found, failure)

    def within(self, step: int, model: Model) -> Iterator[Probed]:
        """Those within training, where one of its set points has been passed since the last time."""
        if self._due and step >= self._due[0]:
            self._due = [later for later in self._due if later > step]
            yield from self.at("training", step, model)
