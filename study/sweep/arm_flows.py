"""What an arm's runs did to the gradient, summed up in the arm's own run: medians and a picture."""

import time
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from study.base.errors import UserError
from study.probes.gradient_flow import half_life
from study.tracking.pictures import Curve, arm_flow_picture
from study.tracking.run_record import Point, RunRecord, is_superseded
from study.tracking.store import Store
from study.tracking.store_errors import reason

PICTURE = "gradient_flow.png"
STAGES = ("init", "final")
MEDIANS = (
    *(f"gradient_flow/{stage}/log_slope_per_step" for stage in STAGES),
    *(f"state_gradients/{stage}/log10_ratio_at_lag" for stage in STAGES),
    "conditioning/init/largest_exponent",
    "lyapunov/init/largest",
    "lyapunov/best/largest",
    "gates/best/timescale_median",
    "clip_rate",
)


def sum_up(store: Store, study: str, arm_ids: Iterable[str], told: list[str]) -> None:
    """Of each arm's confirmations of its best trial, or of that trial where it has none.

    The arm's metrics have the names that its runs' have; a half-life is that of the median slope. An arm
    whose runs cannot be read is told in a line, and left as it is.
    """
    runs = store.study(study).runs
    by_id = {run.run_id: run for run in runs}
    for arm_id in arm_ids:
        arm = by_id.get(arm_id)
        shown = _shown(arm, runs) if arm else []
        if arm is None or not shown:
            continue
        try:
            now = int(time.time() * 1000)
            values = medians([run.metrics for run in shown])
            store.update(arm_id, [Point(key, value, 0, now) for key, value in values.items()])
            if curves := _curves(store, shown, arm.tags.get("cell.output", "h")):
                store.add_files(arm_id, {PICTURE: arm_flow_picture(arm.name, curves)})
        except (UserError, OSError) as error:
            told.append(f"{arm.name}: no picture of its gradient flow: {reason(error)}")


def medians(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Over those runs that have a number."""
    found = {key: [m[key] for m in metrics if key in m] for key in MEDIANS}
    values = {key: median(known) for key, known in found.items() if known}
    for stage in STAGES:
        life = half_life(values.get(f"gradient_flow/{stage}/log_slope_per_step"))
        if life is not None:
            values[f"gradient_flow/{stage}/half_life_steps"] = life
    return values


def _shown(arm: RunRecord, runs: Sequence[RunRecord]) -> list[RunRecord]:
    best = arm.tags.get("best_trial_key", "")
    own = [r for r in runs if r.parent_id == arm.run_id and not is_superseded(r.tags)]
    confirmed = [
        r for r in own if r.tags.get("role") == "confirmation" and r.tags.get("confirms") == best
    ]
    return confirmed or [r for r in own if best and r.tags.get("trial_key") == best]


def _curves(store: Store, runs: Sequence[RunRecord], output: str) -> dict[str, list[Curve]]:
    """By stage, a curve for each run: the norms of the output state's gradient by lag."""
    found: dict[str, list[Curve]] = {}
    for stage in STAGES:
        key = f"gradient_flow/{stage}/{output}"
        by_run: dict[str, dict[int, float]] = {}
        for point in store.histories([run.run_id for run in runs if key in run.metrics], [key]):
            by_run.setdefault(point.run_id, {})[point.step] = point.value
        if by_run:
            found[stage] = list(by_run.values())
    return found
