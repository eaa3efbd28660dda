"""`longlag probe` in the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.base.errors import one_line
from study.commands.probing import Measurement, Probed
from study.commands.tracked_network import Tracked

_STAGES = {"init": "untrained", "best": "trained"}
_NUMBER = 12  # letters of a number's column
_NAME = 34  # and of its name's


def heading(run: Tracked) -> RenderableType:
    """What is measured."""
    config, updates = run.config, run.best_step
    after = f"{updates} update{'s' * (updates != 1)}"
    return Text(
        f"run {run.run_id[:8]}: {config.model.cell} · {config.task.name}, untrained, and trained with the "
        f"parameters that it kept, those after {after}"
    )


def section(found: Probed) -> RenderableType:
    """A probe's name and what it is for, then its numbers side by side."""
    about = Text.assemble("\n", (found.probe.name, "bold"), f"  {found.probe.about}")
    if found.why_not is not None:
        return Group(about, Text(f"  does not fit: {found.why_not}", style="dim"))
    told = [line for m in found.measurements if (line := _told(m))]
    return Group(about, _numbers(found.measurements), *told)


def _told(measurement: Measurement) -> RenderableType | None:
    """Why there is no finding."""
    stage = _STAGES[measurement.stage]
    if measurement.failure:
        return Text(one_line(f"  failed, {stage}: {measurement.failure}"), style="red")
    if measurement.finding is None:
        return Text(f"  nothing found, {stage}: not finite, or too little to measure", style="dim")
    return None


def _numbers(measurements: Sequence[Measurement]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("", width=_NAME, overflow="fold")
    for measurement in measurements:
        table.add_column(_STAGES[measurement.stage], justify="right", width=_NUMBER)
    names = list(dict.fromkeys(name for m in measurements for name in m.summary))
    for name in names:
        values = [m.summary.get(name) for m in measurements]
        table.add_row(f"  {name}", *("-" if v is None else f"{v:.4g}" for v in values))
    table.add_row(
        Text("  seconds", style="dim"),
        *(Text(f"{m.seconds:.2f}", style="dim") for m in measurements),
    )
    return table
