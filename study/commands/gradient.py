"""`longlag gradient`: what is measured of a few networks in seconds, without a sweep."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.base.errors import UserError
from study.base.limits import shown
from study.language.notation import TIME
from study.networks.model import Model
from study.probes.jacobians import LARGEST, Jacobians, Spectrum, jacobians
from study.probes.lyapunov import Lyapunov, lyapunov
from study.probes.state_gradients import LaggedGradients, state_gradients
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig, merge, read_settings
from study.trial.construction import build_model
from study.trial.probing import PROBED_SEQUENCES

if TYPE_CHECKING:  # it loads MLflow, which takes longer than many a measurement
    from study.commands.tracked_network import Tracked

LENGTH = 200

# Fewer than `longlag probe` and a study's confirmations take, for an answer in seconds.
JACOBIAN_SEQUENCES = 1
JACOBIAN_STEPS = 64  # the first ones of it
JACOBIAN_TIMES = 4  # of these, at which single steps are looked at
EXPONENTS = 16
STREAM_STEPS = 400


@dataclass(frozen=True)
class Measured:
    """A network by the name that it is shown by, and what was found; None where it is not finite.

    ``too_large`` where the state has more numbers than whose Jacobians take seconds; there are none then.
    """

    name: str
    config: TrialConfig
    is_trained: bool
    gradients: LaggedGradients | None
    exponents: Lyapunov | None
    jacobians: Jacobians | None
    too_large: bool = False

    @property
    def largest_exponent(self) -> float | None:
        """λ₁; None too where it is -∞ or not resolved."""
        return None if self.exponents is None else self.exponents.exponents[0]

    @property
    def step(self) -> Spectrum | None:
        """Of the whole state's Jacobian."""
        return None if self.jacobians is None else self.jacobians.step

    @property
    def product(self) -> Spectrum | None:
        """Of its product over the longest lag."""
        found = self.jacobians
        return found.products[-1] if found is not None and found.products else None

    @property
    def lag(self) -> int | None:
        """The task's longest; None where no gradient was found, or it is 0."""
        return None if self.gradients is None else self.gradients.lag or None


def measure(names: Sequence[str], settings: Sequence[str], length: int | None) -> list[Measured]:
    """Of each network: "lstm", or with settings of its own, "elman,model.phi=relu".

    ``settings`` are those of all of them. The task is adding at LENGTH unless they say otherwise.
    Raises UserError before anything is measured.
    """
    return list(measured(configured(names, settings, length)))


def measured_run(run: "Tracked") -> Iterator[Measured]:
    """Its network before training, rebuilt from its seed, and after it."""
    name, untrained = run.run_id[:8], build_model(run.config)
    yield _measured(f"{name} · before", run.config, untrained, is_trained=False)
    yield _measured(f"{name} · after", run.config, run.model, is_trained=True)


def configured(
    names: Sequence[str], settings: Sequence[str], length: int | None
) -> dict[str, TrialConfig]:
    """By name. Raises UserError for what cannot be measured."""
    if len(set(names)) < len(names):
        raise UserError("a network is named twice")
    if not names and (settings or length is not None):
        raise UserError(
            "--set and --length are for networks that are named; a run has settings of its own"
        )
    configs = {name: _configured(name, settings, length) for name in names}
    for config in configs.values():
        config.task.check_data()
    return configs


def measured(configs: dict[str, TrialConfig]) -> Iterator[Measured]:
    for name, config in configs.items():
        yield _measured(name, config, build_model(config), is_trained=False)


def _configured(name: str, settings: Sequence[str], length: int | None) -> TrialConfig:
    cell, *own = name.split(",")
    common = read_settings(settings)
    if "model.cell" in common:
        raise UserError("the networks name their cells; leave model.cell out of --set")
    flat = merge(common, read_settings(own))
    if "model.cell" in flat:
        raise UserError(f"{shown(name)} names its cell twice")
    if length is None and "task.name" not in flat and "task.length" not in flat:
        length = LENGTH
    if length is not None:
        if "task.length" in flat:
            raise UserError("the length is set twice, by --length and by task.length")
        flat["task.length"] = length
    return TrialConfig.from_flat({**flat, "model.cell": cell})


def _measured(name: str, config: TrialConfig, model: Model, *, is_trained: bool) -> Measured:
    task = config.task
    batch = task.validation().take(slice(PROBED_SEQUENCES))
    too_large = _state_size(model) > LARGEST
    return Measured(
        name,
        config,
        is_trained,
        gradients=state_gradients(model, task, batch),
        exponents=lyapunov(model, task, batch, exponents=EXPONENTS, steps=STREAM_STEPS),
        jacobians=None if too_large else _jacobians(model, task, batch),
        too_large=too_large,
    )


def _state_size(model: Model) -> int:
    layer = model.path[0]
    return layer.hidden_size * sum(name != TIME for name in layer.cell.states)


def _jacobians(model: Model, task: Task, batch: Batch) -> Jacobians | None:
    ends = None if batch.ends is None else batch.ends.clamp(max=JACOBIAN_STEPS - 1)
    first = Batch(batch.inputs[:JACOBIAN_STEPS], batch.targets[:JACOBIAN_STEPS], ends)
    return jacobians(model, task, first, sequences=JACOBIAN_SEQUENCES, times=JACOBIAN_TIMES)
