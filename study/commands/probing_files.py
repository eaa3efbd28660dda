"""The files of `longlag probe`: what was found, and the pictures that there are of it."""

import json
from collections.abc import Sequence
from pathlib import Path

from study.base.errors import UserError
from study.commands.probing import Measurement, Probed
from study.commands.tracked_network import Tracked
from study.probes.gradient_flow import GradientFlow
from study.probes.state_gradients import LaggedGradients
from study.probes.writing import Writing
from study.tracking.pictures import (
    attention_picture,
    drawn_picture,
    gradient_flow_picture,
    state_gradients_picture,
)

_AS_DRAWN = {"init": "init", "best": "final"}


def write_files(run: Tracked, found: Probed, folder: Path) -> list[Path]:
    """NAME.json, and the pictures that a run has of this probe; nothing of one that does not fit.

    Raises UserError where they cannot be written.
    """
    if found.why_not is not None:
        return []
    told = [measurement.as_dict() for measurement in found.measurements]
    files = {f"{found.probe.name}.json": (json.dumps(told, indent=1) + "\n").encode()}
    files |= _pictures(f"{run.config.model.cell} · {run.config.task.name}", found.measurements)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return [folder / name for name in files]


def _pictures(title: str, measurements: Sequence[Measurement]) -> dict[str, bytes]:
    flows: dict[str, GradientFlow | None] = {}
    gradients: dict[int, LaggedGradients] = {}
    files: dict[str, bytes] = {}
    for measurement in measurements:
        match measurement.finding:
            case GradientFlow() as flow:
                flows[_AS_DRAWN[measurement.stage]] = flow
            case LaggedGradients() as lagged:
                gradients[measurement.step] = lagged
            case Writing() as written:
                files |= _of_writing(title, written)
    if flows:
        files["gradient_flow.png"] = gradient_flow_picture(title, flows)
    if gradients:
        files["state_gradients.png"] = state_gradients_picture(title, gradients)
    return files


def _of_writing(title: str, written: Writing) -> dict[str, bytes]:
    files = {}
    if any(example.weights for example in written.examples):
        files["attention.png"] = attention_picture(title, written.examples)
    if written.pictures:
        files["drawn.png"] = drawn_picture(title, written.pictures)
    return files
