"""What each probe costs, as a share of training an arm of a study.

An arm's first configuration is trained without probes for some updates, evaluations included, and each
probe is timed on the untrained network and on what came out, as often as ``repeats`` says; medians are
taken. A trial trains for its whole budget and measures at the stages that the probe names, within training
at each set point. ``share`` is the time of all of a trial's measurements over that of its training. A trial
that solves its task before its budget ends has fewer of both. Times are of the processor, which what else
runs on the machine distorts least.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from study.base.errors import UserError
from study.base.threads import one_thread
from study.commands.writable import check_writable, write
from study.networks.model import Model
from study.probes import PROBES, Probe, Subject
from study.probes.base import STAGES
from study.spaces.space import Space
from study.trial.config import Flat, TrialConfig
from study.trial.construction import build_model
from study.trial.probing import PROBED_SEQUENCES
from study.trial.records import Evaluation, Trained
from study.trial.training import train

COLUMNS = (
    "probe",
    "dear",
    "arm",
    "measurements",
    "seconds_each",
    "training_seconds",
    "share",
)
UPDATES = 200


def bench_probes(
    space: Space,
    names: Sequence[str] | None = None,
    repeats: int = 3,
    json_path: str | Path | None = None,
    updates: int = UPDATES,
    told: Callable[[str], None] = lambda arm: None,
) -> list[dict[str, Any]]:
    """One row for each arm and each probe (None: all) that fits it, keys as in `COLUMNS`.

    An arm is ``told`` before it is measured, and the file is written again after each. Raises UserError
    for an unknown probe, and for a file that cannot be written, before anything is measured.
    """
    probes = [PROBES[name] for name in (names if names is not None else PROBES)]
    if json_path is not None:
        check_writable(Path(json_path))
    rows: list[dict[str, Any]] = []
    with one_thread():
        for arm in space.arms():
            told(arm.title)
            rows += _rows(arm.title, space.example(arm), probes, repeats, updates)
            if json_path is not None:
                write(Path(json_path), json.dumps(rows, indent=1) + "\n")
    return rows


def _rows(
    arm: str, settings: Flat, probes: Sequence[Probe], repeats: int, updates: int
) -> Iterator[dict[str, Any]]:
    config = TrialConfig.from_flat({**settings, "train.probes": "none"})
    seconds, trained = _trained(config, updates)
    untrained = build_model(config)
    times = dict.fromkeys(STAGES, 1) | {"training": len(config.train.probe_steps())}
    for probe in probes:
        if probe.why_not(untrained, config.task) is not None:
            continue
        spent = 0.0
        for stage in probe.stages:
            each = _seconds(probe, untrained if stage == "init" else trained, config, repeats)
            spent += each * times[stage]
        measurements = sum(times[stage] for stage in probe.stages)
        yield {
            "probe": probe.name,
            "dear": probe.dear,
            "arm": arm,
            "measurements": measurements,
            "seconds_each": spent / measurements if measurements else 0.0,
            "training_seconds": seconds,
            "share": spent / seconds,
        }


def _trained(config: TrialConfig, updates: int) -> tuple[float, Model]:
    """Seconds for the whole budget, at the rate of the first updates; and what they made of the network."""
    fewer = {"train.steps": min(updates, config.train.steps)}
    model = build_model(config)
    began, ended, steps = 0.0, 0.0, 0
    for record in train(TrialConfig.from_flat(config.flat() | fewer)):
        if isinstance(record, Evaluation):
            ended, steps = time.process_time(), record.step
            began = began or ended
        elif isinstance(record, Trained):
            model.load_state_dict(record.parameters)
    if not steps:
        raise UserError(f"{config.task.name}: solved before its first update, so nothing is timed")
    return (ended - began) / steps * config.train.steps, model


def _seconds(probe: Probe, model: Model, config: TrialConfig, repeats: int) -> float:
    batch = config.task.validation().take(slice(PROBED_SEQUENCES))
    taken = []
    for _ in range(repeats + 1):  # the first one compiles, for float64
        draws = torch.Generator().manual_seed(0)
        subject = Subject(model, config.task, batch, draws, config.decoder.beam)
        before = time.process_time()
        probe(subject)
        taken.append(time.process_time() - before)
    return statistics.median(taken[1:])


def print_costs(rows: Sequence[dict[str, Any]], study: str) -> None:
    """A table with a line for each probe, and what the default ones cost together."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Probes, as a share of training an arm of {study}")
    for heading in ("probe", "on", "times", "ms each", "share", "most", "in arm"):
        left = heading in ("probe", "on", "in arm")
        table.add_column(heading, justify="left" if left else "right")
    for name in dict.fromkeys(row["probe"] for row in rows):
        mine = [row for row in rows if row["probe"] == name]
        dearest = max(mine, key=lambda row: row["share"])
        table.add_row(
            name,
            "confirmations" if mine[0]["dear"] else "trials",
            f"{statistics.median(row['measurements'] for row in mine):g}",
            f"{1000 * statistics.median(row['seconds_each'] for row in mine):.1f}",
            f"{statistics.mean(row['share'] for row in mine):.2%}",
            f"{dearest['share']:.2%}",
            dearest["arm"],
        )
    Console().print(table)
    for dear, where in ((False, "every trial"), (True, "a confirmation")):
        shares: dict[str, float] = {}
        for row in rows:
            if dear or not row["dear"]:
                shares[row["arm"]] = shares.get(row["arm"], 0.0) + row["share"]
        if shares and (not dear or any(row["dear"] for row in rows)):
            mean, most = statistics.mean(shares.values()), max(shares.values())
            print(f"on {where}, together: {mean:.2%} of training, at most {most:.2%}")
