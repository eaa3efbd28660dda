"""`longlag sample`: which run is meant, and what is said of one that cannot write."""

import math
from pathlib import Path

import pytest
import torch

from study.base.errors import UserError
from study.commands.sampling import Request, remarks, written
from study.commands.single import train_tracked
from study.commands.tracked_network import tracked
from study.spaces.file import load
from study.sweep.driver import Sweep
from study.tasks.real import characters
from study.tracking.store import Store
from study.trial.config import TrialConfig
from study.trial.weights import WEIGHTS, save

TINY = {"model.hidden": 3, "train.batch": 2, "train.steps": 2, "train.evaluate_every": 2}


def train(folder: Path, **settings: str | int) -> str:
    """The id of a short training's run."""
    before = ids(folder)
    flat = TINY | {name.replace("__", "."): value for name, value in settings.items()}
    assert train_tracked(TrialConfig.from_flat(flat), folder, test=False) == 0
    (new,) = ids(folder) - before
    return new


def ids(folder: Path) -> set[str]:
    if not (folder / "mlruns").exists():
        return set()
    return {run.run_id for run in Store.open(folder).study("train").runs}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sampled")


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, str]:
    """A run a task, the last one on transduction."""
    return {
        "hello": train(folder, task__name="hello"),
        "adding": train(folder, task__name="adding", task__length=5),
        "transduction": train(folder, task__name="transduction", task__length=4),
    }


@pytest.fixture(autouse=True)
def in_folder(folder: Path, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def sampled(run: str | None, request: Request) -> str:
    found = tracked(Store.open(), run)
    return written(found.config.task, found.model, request)


def refusal(run: str | None, prompt: str = "") -> str:
    with pytest.raises(UserError) as error:
        sampled(run, Request(prompt))
    return str(error.value)


def test_a_run_is_named_by_its_id_or_the_beginning_of_one(runs: dict[str, str]) -> None:
    whole = sampled(runs["hello"], Request("h"))
    assert len(whole) == len("hello")  # a word learned by heart has an end
    assert len(sampled(runs["hello"], Request("hell"))) == len("hello")
    start = next(
        runs["hello"][:n]
        for n in range(1, 32)
        if sum(run.startswith(runs["hello"][:n]) for run in runs.values()) == 1
    )
    assert sampled(start, Request("h")) == whole
    assert sampled(None, Request("AB")) == sampled(runs["transduction"], Request("AB"))


def test_what_no_run_has_is_answered_with_the_last_ones(runs: dict[str, str]) -> None:
    for given in ("nothing", "", "../.."):
        told = refusal(given)
        assert f"no run has the id {given!r}" in told
        for run in runs.values():
            assert run[:8] in told
        assert "lstm · hello" in told


def test_a_beginning_of_several_ids_is_refused(
    folder: Path, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(folder)
    several = list(store._runs(store.study("train").experiment_id))
    for n, run in enumerate(several):
        monkeypatch.setattr(run.info, "_run_id", f"abc{n}")
    monkeypatch.setattr(store, "_runs", lambda _: several)
    with pytest.raises(UserError, match="3 runs have ids that begin with 'abc'"):
        store.run("train", "abc")
    assert store.run("train", "abc1") == "abc1"


def test_a_task_that_writes_nothing_names_those_that_do(runs: dict[str, str]) -> None:
    told = refusal(runs["adding"])
    assert "task 'adding' has nothing written" in told
    assert "hello" in told
    assert "transduction" in told
    assert "mnist" not in told


def files_of(run: str) -> Path:
    return Path("mlruns/artifacts/train") / run / "artifacts"


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "is damaged"),
        (b"no archive", "is damaged"),
        (save({"a": torch.zeros(2)})[:200], "is damaged"),
        (save({"a": torch.zeros(2)}), "not those of its configuration's network"),
        (None, "kept no parameters"),
    ],
)
def test_weights_that_are_none_name_the_run_and_where_its_configuration_is(
    runs: dict[str, str], content: bytes | None, fragment: str
) -> None:
    file = files_of(runs["hello"]) / WEIGHTS
    kept = file.read_bytes()
    try:
        file.unlink() if content is None else file.write_bytes(content)
        told = refusal(runs["hello"])
    finally:
        file.write_bytes(kept)
    assert fragment in told
    assert runs["hello"] in told
    assert str(files_of(runs["hello"]).resolve()) in told
    assert "/tmp/tmp" not in told, "the copy that was read is gone when this is"


def test_parameters_that_are_not_finite_are_refused(runs: dict[str, str]) -> None:
    file = files_of(runs["hello"]) / WEIGHTS
    kept = file.read_bytes()
    loaded = torch.load(file, weights_only=True)
    next(iter(loaded.values())).fill_(math.nan)
    try:
        file.write_bytes(save(loaded))
        assert "are not finite" in refusal(runs["hello"])
    finally:
        file.write_bytes(kept)


def test_a_run_without_a_configuration_is_said_to_be_no_training(runs: dict[str, str]) -> None:
    file = files_of(runs["hello"]) / "config.toml"
    kept = file.read_bytes()
    try:
        file.unlink()
        assert "has no configuration that can be read" in refusal(runs["hello"])
        file.write_bytes(b"x = [")
        assert "has no configuration that can be read" in refusal(runs["hello"])
    finally:
        file.write_bytes(kept)


def test_no_store_and_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open(tmp_path, create=True)
    assert "longlag train --set task.name=hello" in refusal(None)
    assert "last of experiment 'train': none" in refusal("abc")


def test_the_length_of_a_text_can_be_chosen(folder: Path, runs: dict[str, str]) -> None:
    found = tracked(Store.open(folder), runs["hello"])
    assert len(written(found.config.task, found.model, Request("he", length=7))) == 2 + 7


def test_a_prompt_longer_than_any_in_training_is_remarked_on(runs: dict[str, str]) -> None:
    task = tracked(Store.open(), runs["transduction"]).config.task
    assert remarks(task, Request("A" * task.steps)) == []
    (told,) = remarks(task, Request("A" * (task.steps + 1)))
    assert f"{task.steps + 1} symbols" in told
    assert f"ends after {task.answer_steps}" in told


SPACE = """
[study]
trials = 2
confirmations = 1
reruns = 0

[fixed]
task.name = "hello"
model.hidden = 12
train = { steps = 120, lr = 0.02, evaluate_every = 40 }

[compare]
model.cell = ["gru"]
"""


def test_a_studys_confirmations_keep_their_parameters(folder: Path) -> None:
    (folder / "words.toml").write_text(SPACE)
    for _ in Sweep(load(folder / "words.toml"), folder, 1).run():
        pass
    runs = {run.tags["role"]: run.run_id for run in Store.open(folder).study("words").runs}
    assert sampled(runs["confirmation"], Request("h", temperature=0.01, length=4)) == "hello"
    assert "kept no parameters" in refusal(runs["trial"])
    assert "no configuration" in refusal(runs["arm"])


def test_other_data_than_those_it_was_trained_on_are_refused(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    settings = {"task__name": "characters", "task__corpus": "files", "task__path": str(text)}
    text.write_text("abcd" * 50, encoding="utf-8")
    run = train(folder, **settings, task__length=4)
    text.write_text("abce" * 50, encoding="utf-8")
    characters._load.cache_clear()  # a process of its own would read the file anew
    assert "are not those that run" in refusal(run, "ab")
    text.write_text("abcd" * 50, encoding="utf-8")
    characters._load.cache_clear()
    assert sampled(run, Request("ab")).startswith("ab")
