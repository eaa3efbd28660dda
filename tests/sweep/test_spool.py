"""The spool: what is in it is filed, and what is no record is set aside, told, and in nobody's way."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from records import record
from test_sweep import ONE_ARM, check_complete, empty_store, folder, runs, space, sweep

from study.base.errors import UserError
from study.spaces.space import Space
from study.sweep.driver import Sweep
from study.sweep.spool import Spool
from study.tracking.run_record import RunToWrite
from study.tracking.store import Store

__all__ = ["empty_store", "folder"]  # fixtures


def without_confirmations(folder: Path, trials: int) -> Space:
    return space(folder, ONE_ARM.replace("confirmations = 1", "confirmations = 0"), trials, 5)


def leave_waiting(folder: Path, trials: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A sweep whose store went away: the files of its records, by number."""
    real = Store.write

    def write(self: Store, experiment: str, run: RunToWrite) -> str:
        if run.tags["role"] == "trial":
            raise OSError("away")
        return real(self, experiment, run)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", write)
        sweep(without_confirmations(folder, trials), folder)
    files = (folder / "mlruns" / "spool" / "tiny").glob("*.json")
    by_number = {int(json.loads(f.read_text())["tags"]["number"]): f for f in files}
    assert sorted(by_number) == list(range(trials))
    return [by_number[number] for number in range(trials)]


def changed(**changes: object) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        content = json.loads(file.read_text())
        content["tags"] = {**content["tags"], **changes.pop("tags", {})}  # type: ignore[dict-item]
        file.write_text(json.dumps({**content, **changes}))

    return change


def moved(name: str) -> Callable[[Path], None]:
    return lambda file: (file.rename(file.with_name(name)), None)[1]


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": lambda file: file.write_bytes(b"") and None,
    "zeros": lambda file: file.write_bytes(bytes(4096)) and None,
    "half": lambda file: file.write_bytes(file.read_bytes()[:500]) and None,
    "no text": lambda file: file.write_bytes(b"\xff\xfe\x00") and None,
    "a list": lambda file: file.write_text("[]") and None,
    "null": lambda file: file.write_text("null") and None,
    "deep": lambda file: file.write_text("[" * 100_000) and None,
    "foreign": lambda file: file.write_text('{"name": "somebody else"}') and None,
    "a field too many": changed(colour="red"),
    "a field of another kind": changed(evaluations="none"),
    "an evaluation of another kind": changed(evaluations=[{"step": "x"}]),
    "a result that is none": changed(result={"outcome": "solved"}),
    "a flow that is none": changed(flows={"init": {"norms": 3}}),
    "an unknown arm": changed(tags={"arm": "nobody"}),
    "another study": changed(key="other/lstm/0/1"),
    "an unknown number": changed(tags={"number": "99"}),
    "a number that is none": changed(tags={"number": "first"}),
    "a role that is none": changed(role="judge"),
    "another name": moved("copy.json"),
    "a folder": lambda file: (file.unlink(), file.mkdir(), None)[2],
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file), None)[2],
    "a link to nothing": lambda file: (file.unlink(), file.symlink_to("nothing"), None)[2],
}


def test_what_is_damaged_is_set_aside_and_the_sweep_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = leave_waiting(folder, len(DAMAGE) + 1, monkeypatch)
    for damage, file in zip(DAMAGE.values(), waiting, strict=False):
        damage(file)
    s = without_confirmations(folder, len(waiting))
    last = sweep(s, folder)
    assert last.left == 0
    left = {p.name for p in waiting[0].parent.iterdir()}
    assert len(left) == len(DAMAGE)
    for damage, file in zip(DAMAGE, waiting, strict=False):
        name = "copy.json" if damage == "another name" else file.name
        assert f"{name}.damaged" in left, damage
        assert sum(f"{name} is set aside" in w for w in last.warnings) == 1, damage
    shutil.rmtree(waiting[0].parent)
    waiting[0].parent.mkdir()
    check_complete(s, folder)  # what was whole is filed, what was not was run again
    assert {r.status for r in runs(folder, "trial")} == {"FINISHED"}
    attempts = {r.tags["number"]: r.tags["trial_key"][-1] for r in runs(folder, "trial")}
    assert attempts[str(len(DAMAGE))] == "1"
    assert sweep(s, folder).warnings == []


def test_a_second_of_the_same_name_is_set_aside_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / "x.json").write_text("")
        assert list(spool) == []
        assert len(list(tmp_path.glob("x.json.damaged*"))) == number
    assert len(spool.notices) == 3


def test_a_spool_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot use the spool"):
        Spool(tmp_path / "file" / "spool")
    spool = Spool(tmp_path / "spool")
    spool.put(record())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError(13, "no"))
        )
        with pytest.raises(UserError, match="cannot use the spool"):
            list(spool)


def test_no_room_in_the_spool_ends_the_sweep_in_a_line_and_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = space(folder, ONE_ARM, 2)
    real = Spool.put

    def full(self: Spool, one: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "put", full)
        run = Sweep(s, folder, 1)
        with pytest.raises(UserError, match="no space is left on the disk"):
            list(run.run())
    assert real is Spool.put
    assert {r.status for r in runs(folder, "arm")} == {"KILLED"}
    sweep(s, folder)
    check_complete(s, folder)
