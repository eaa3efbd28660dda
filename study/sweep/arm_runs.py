"""A study's experiment and the run of each of its arms, under which its trials lie."""

import json
import time

from study.base.errors import UserError
from study.spaces.space import Arm, Space
from study.tracking.notes import arm_note, experiment_note
from study.tracking.reading import STUDY_TAG
from study.tracking.run_record import RunRecord, RunToWrite, card_of
from study.tracking.store import Store
from study.tracking.views import run_color, tags
from study.trial.config import TrialConfig


class ArmRuns:
    """What a sweep writes of its arms as wholes: at its beginning, and at its end."""

    def __init__(self, space: Space, store: Store) -> None:
        self._space, self._store = space, store
        self._arms = {arm.slug: arm for arm in space.tuned()}
        self._ids: dict[str, str] = {}
        self._experiment = ""

    def earlier(self) -> list[RunRecord]:
        """The runs of earlier sweeps. Raises UserError when those were on other data."""
        name = self._space.name
        runs = self._store.study(name).runs if self._store.has(name) else []
        for run in runs:
            self._check_data(run)
        return runs

    def experiment(self) -> str:
        """Its id; it is made if need be."""
        name = self._space.name
        self._experiment = self._store.experiment(name, {STUDY_TAG: name})
        return self._experiment

    def open(self, complete: bool) -> dict[str, str]:
        """The arms' runs, going on, with their notes. Returns their ids by the arms' slugs."""
        note = experiment_note(self._space, self._experiment)
        self._tag(complete, {"mlflow.note.content": note})
        now = int(time.time() * 1000)
        for slug, arm in self._arms.items():
            run_id = self._store.write(self._experiment, self._run(arm, now))
            about = arm_note(arm, self._experiment, run_id)
            self._store.update(run_id, tags={"mlflow.note.content": about})
            self._ids[slug] = run_id
        return self._ids

    @property
    def ids(self) -> list[str]:
        return list(self._ids.values())

    def close(self, complete: bool) -> None:
        for run_id in self._ids.values():
            self._store.finish(run_id, "FINISHED" if complete else "KILLED")
        self._tag(complete, {})

    def _tag(self, complete: bool, more: dict[str, str]) -> None:
        self._store.experiment(self._space.name, {**more, **tags(self._space, complete)})

    def _check_data(self, earlier: RunRecord) -> None:
        arm = self._arms.get(earlier.tags.get("arm", ""))
        if arm is None or earlier.tags.get("role") != "arm":
            return
        task = self._template(arm).task
        if not task.has_data_of(card_of(earlier.tags)):
            raise UserError(
                f"{arm.title}: the data of task {task.name!r} are not those of this study's earlier "
                "runs; put the files back, or sweep under a new name (--as NAME)"
            )

    def _run(self, arm: Arm, now_ms: int) -> RunToWrite:
        template = self._template(arm)
        axes = {f"axis.{axis}": label for axis, label in arm.labels.items()}
        return RunToWrite(
            key=f"{self._space.name}/{arm.slug}",
            name=arm.title,
            status="RUNNING",
            start_ms=now_ms,
            end_ms=now_ms,
            tags={
                "role": "arm",
                "study": self._space.name,
                "arm": arm.slug,
                "search": str(arm.search + 1),
                "task.card": json.dumps(template.task.card()),
                "cell.output": template.cell.output,
                "mlflow.runColor": run_color(self._space, arm),
                **axes,
            },
            params={
                **template.complete(),
                **dict.fromkeys(self._space.search, "searched"),
                "seed": "a fresh one each trial",
                **axes,
            },
            files={"space.json": json.dumps(self._space.described(), indent=1).encode()},
        )

    def _template(self, arm: Arm) -> TrialConfig:
        return TrialConfig.from_flat(self._space.example(arm))
