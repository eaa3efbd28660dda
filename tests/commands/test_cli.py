"""The command line: every command, every mistake one line on stderr and exit code 2."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient
from task_files import mnist, series

import study.commands.entry
import study.trial.training
from study.base.errors import UserError
from study.cells import CELLS
from study.clipping import CLIPPING
from study.commands import descriptions
from study.credit import CREDIT
from study.engines.native import operators
from study.initializers import BIASES, INPUT_WEIGHTS, RECURRENT, VECTORS
from study.language.nonlinearities import NONLINEARITIES
from study.networks.attention import ATTENTION
from study.probes import PROBES
from study.spaces.index import available
from study.spaces.space import Space
from study.tasks import TASKS
from study.tasks.baselines import Baseline
from study.tracking.store import Store
from study.trial.config import GROUPS, known_names, plain_settings
from study.trial.regularizers import REGULARIZERS

ROOT = Path(__file__).resolve().parents[2]

TINY = """
[study]
name = "tiny"
question = "Which?"
trials = 1
confirmations = 1
reruns = 0
[fixed]
task.length = 5
model.hidden = 2
train.batch = 2
train.steps = 4
[compare]
model.cell = ["lstm", "gru"]
"""


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 20)
    monkeypatch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 20)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep, made by the program as a user starts it."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "tiny.toml").write_text(TINY)
    command = [sys.executable, "-m", "study", "sweep", "tiny.toml", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "longlag report tiny" in done.stdout
    return folder


# Help and lists


def test_help_names_every_command(longlag) -> None:
    code, out, _ = longlag("--help")
    assert code == 0
    for command in ("sweep", "train", "report", "ui", "list", "show", "gradient", "probe"):
        assert re.search(rf"\b{command}\b", out)
        code, text, _ = longlag(command, "--help")
        assert code == 0
        assert "Usage" in text


def test_no_command_shows_the_help(longlag) -> None:
    code, out, err = longlag()
    assert code in (0, 2)
    assert "sweep" in out + err
    assert len((out + err).splitlines()) > 5, "help squeezed into a line"


def test_python_m_study_is_longlag_and_a_locale_without_greek_no_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "study", "list", "nonlinearities"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tanh" in done.stdout
    assert done.stderr == ""
    script = Path(sys.executable).with_name("longlag")
    if script.exists():
        shown = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        assert "sweep" in shown.stdout


KNOWN = {
    "cells": [*CELLS],
    "nonlinearities": [*NONLINEARITIES],
    "initializers": [*RECURRENT, *INPUT_WEIGHTS, *BIASES, *VECTORS],
    "clipping": [*CLIPPING],
    "credit": [*CREDIT],
    "attention": [*ATTENTION],
    "regularizers": [*REGULARIZERS],
    "tasks": [*TASKS],
    "probes": [*PROBES],
    "settings": [*(name for name, _ in plain_settings()), *GROUPS],
    "spaces": [*available()],
}


def test_every_setting_stands_in_a_list(longlag) -> None:
    out = "".join(longlag("list", what)[1] for what in KNOWN)
    for name in known_names():
        assert re.search(rf"\b{re.escape(name.removesuffix('.name'))}\b", out), name
    assert re.search(r"model.deep_hidden +0 .*; 0 to 8", out)
    assert re.search(r"decoder.context .*one of state, input, both, attention", out)
    assert re.search(r"train.momentum .*0 or more and below 1", out)


def test_list_says_what_it_could_list(longlag) -> None:
    code, _, err = longlag("list")
    assert (code, len(err.splitlines())) == (2, 1)
    assert all(what in err for what in KNOWN)


def test_everything_that_can_be_listed_is_tested() -> None:
    assert KNOWN.keys() == descriptions.LISTS.keys()


@pytest.mark.parametrize("what", KNOWN)
def test_list(what: str, longlag) -> None:
    code, out, err = longlag("list", what)
    assert (code, err) == (0, "")
    for name in KNOWN[what]:
        assert name in out
    assert "cannot be read" not in out


def test_show_cell(longlag) -> None:
    for name in CELLS:
        code, out, err = longlag("show", "cell", name)
        assert (code, err) == (0, ""), name
        for line in CELLS[name].equations.strip().splitlines():
            assert line.strip() in out
        for parameter in CELLS[name].parameters:
            assert parameter in out
        assert CELLS[name].source[:30] in out


@pytest.mark.parametrize("name", TASKS)
def test_show_task(name: str, longlag, monkeypatch: pytest.MonkeyPatch) -> None:
    # What there is of every task is measured in test_tasks_criteria, in a second each.
    found = [Baseline("a readout of nothing", {"loss": 0.125}, True)]
    monkeypatch.setattr("study.commands.task_description.known", lambda task: found)
    code, out, err = longlag("show", "task", name)
    assert (code, err) == (0, "")
    task = TASKS.build(name)
    if task.needs_files:
        assert "task.path" in out
    else:
        assert f"{task.chance_loss:.5g}" in out
        assert "a readout of nothing: loss 0.125, and so meets the criterion" in out
        assert task.solved_rule in " ".join(out.split())
        assert ("written after it, up to" in out) == (task.reads == "generated")
    for field in type(task).parameters():
        assert f"task.{field}" in out


def test_show_task_as_it_is_set(longlag) -> None:
    code, out, err = longlag("show", "task", "adding", "--set", "task.version=hochreiter")
    assert (code, err) == (0, "")
    task = TASKS.build({"name": "adding", "version": "hochreiter"})
    assert f"{task.chance_loss:.5g}" in out
    assert f"{TASKS.build('adding').chance_loss:.5g}" not in out.split("Solved:")[1]
    assert "task.version = hochreiter" in out


def test_show_task_says_what_to_type_for_its_baselines(
    longlag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _, out, _ = longlag("show", "task", "latching", "--set", "task.length=12")
    (command,) = re.findall(r"longlag (show task .*--baselines)", out)
    code, out, err = longlag(*shlex.split(command))
    assert (code, err) == (0, "")
    assert re.search(r"^baseline +quadratic in", out, re.MULTILINE)
    _, out, _ = longlag("show", "task", "digits", "--set", "task.permuted=true")
    assert "--set task.permuted=true --baselines" in out


def test_show_task_draws_what_is_in_a_users_file(longlag) -> None:
    Path("waves.csv").write_text(
        "day,height\n" + "".join(f"{i},{i % 7}\n" for i in range(200)), encoding="utf-8"
    )
    settings = ("--set", "task.path=waves.csv", "--set", "task.length=14")
    code, out, err = longlag("show", "task", "csv-series", *settings)
    assert (code, err) == (0, "")
    assert "\n    asked at the end  " in out
    (drawn,) = re.findall(r"^    height +(\S+)", out, re.MULTILINE)
    assert drawn[:7] == drawn[7:]
    assert len(set(drawn)) == 7


@pytest.mark.parametrize("name", available())
def test_show_space_and_dry_run_write_nothing(name: str, longlag) -> None:
    before = set(Path().rglob("*"))
    code, out, err = longlag("show", "space", name)
    assert (code, err) == (0, "")
    assert name in out
    code, again, _ = longlag("sweep", name, "--dry-run")
    assert code == 0
    assert name in again
    assert set(Path().rglob("*")) == before


def test_a_narrow_terminal_is_no_error(longlag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    for arguments in (("list", "cells"), ("show", "task", "copy"), ("show", "cell", "lstm")):
        assert longlag(*arguments)[0] == 0


# Mistakes


MISTAKES = [
    (("sweeep",), "sweep"),
    (("sweep",), "'space'"),
    (("sweep", "quikstart"), "did you mean 'quickstart'"),
    (("sweep", "nothing.toml"), "no such file: nothing.toml"),
    (("sweep", "../quickstart"), "letters, digits"),
    (("sweep", "quickstart", "--trials", "0"), "trials"),
    (("sweep", "quickstart", "--trials", "many"), "valid integer"),
    (("sweep", "quickstart", "--workers", "-1"), "workers"),
    (("sweep", "quickstart", "--seed", "-1"), "seed"),
    (("sweep", "quickstart", "--tirals", "3"), "--tirals"),
    (("sweep", "quickstart", "--as", "a/b"), "letters, digits"),
    (("sweep", "quickstart", "--as", ".."), "letters, digits"),
    (("sweep", "quickstart", "--as", "train"), "longlag train"),
    (("sweep", "quickstart", "extra"), "extra"),
    (("sweep", "music"), "task 'music' needs a pickle or JSON file"),
    (("sweep", "music"), "task.path is not set (--set task.path=…)"),
    (("sweep", "music", "--set", "task.path=no/such.pickle"), "task.path = 'no/such.pickle'"),
    (("sweep", "music", "--set", "task.pth=a"), "did you mean 'task.path'"),
    (("sweep", "music", "--set", "task.path"), "NAME=VALUE"),
    (("sweep", "music", "--set", "task.path=a", "--set", "task.path=b"), "task.path is set twice"),
    (("sweep", "quickstart", "--set", "task.path=a"), "no parameter 'path'"),
    (("sweep", "quickstart", "--set", "train.steps=few"), "train.steps"),
    (("sweep", "quickstart", "--set", "train.lr=1"), "train.lr is set in --set and in [search]"),
    (("sweep", "quickstart", "--set", "model.cell=gru", "--dry-run"), "in --set and in [compare]"),
    (("sweep", "quickstart", "--set", "seed=3"), "give --seed instead"),
    (("train", "--set", "train.lr"), "NAME=VALUE"),
    (("train", "--set", "train.rl=1"), "did you mean 'train.lr'"),
    (("train", "--set", "model.cell=lstmm"), "did you mean 'lstm'"),
    (("train", "--set", "train.steps=-3"), "train.steps"),
    (("train", "--set", "train.steps=fast"), "train.steps"),
    (("train", "--set", "init.recurrent=identity"), "does not suit lstm"),
    (("train", "--config", "nothing.toml"), "no such file"),
    (("train", "--config", "."), "cannot read"),
    (("train", "--set", "train.lr=1", "--set", "train.lr=2"), "train.lr is set twice"),
    (("train", "--set", "clip=none", "--set", "clip.name=norm"), "clip.name is set twice"),
    (("report", "nothing"), "no store"),
    (("report", "../nothing"), "letters, digits"),
    (("ui",), "no store"),
    (("ui", "--port", "99999"), "port"),
    (("list", "cels"), "did you mean 'cells'"),
    (("list",), "say what to list: cells, "),
    (("train", "--set", "attention.score=dot"), "'score' is of soft, hard"),
    (("sample",), "no store"),
    (("sample", "--temperature", "nan"), "above 0 (got nan)"),
    (("sample", "--temperature", "0"), "most probable"),
    (("sample", "--beam", "0"), "1"),
    (("sample", "--beam", "101"), "100"),
    (("sample", "--promt", "a"), "--promt"),
    (("show", "cell", "lstmm"), "did you mean 'lstm'"),
    (("show", "cels", "lstm"), "did you mean 'cell'"),
    (("show", "task", "ading"), "did you mean 'adding'"),
    (("show", "space", "quikstart"), "did you mean 'quickstart'"),
    (("show", "task", "adding", "--set", "task.versio=irnn"), "did you mean 'task.version'"),
    (("show", "task", "adding", "--set", "model.hidden=3"), "no parameter of a task"),
    (("show", "task", "adding", "--set", "task.warping=3"), "no parameter 'warping'"),
    (("show", "task", "adding", "--set", "task.length=1"), "equal to 2"),
    (("show", "cell", "lstm", "--set", "task.length=3"), "page of a task"),
    (("show", "space", "quickstart", "--baselines"), "page of a task"),
    (("show", "cell"), "'name'"),
    (("sweep", "quickstart", "--as", "Default"), "MLflow's own experiment"),
    (("sweep", "quickstart", "--seed", str(2**70)), "[study] seed"),
    (("sweep", "quickstart", "--trials", str(10**30)), "[study] trials"),
    (("sweep", "/dev/zero"), "letters, digits"),
    (("sweep", "a\x1b[31m.toml"), "no such file: a\\x1b[31m.toml"),
    (("train", "--config", "/dev/zero"), "no regular file"),
    (("train", "--set", "seed={}"), "seed"),
    (("train", "--set", f"seed={2**70}"), "seed"),
    (("train", "--set", f"train.batch={10**30}"), "train.batch"),
    (("train", "--set", "train.lr=1e39"), "train.lr"),
    (("train", "--set", "seed=" + "9" * 5000), "seed"),
    (("train", "--set", "train.lr=" + "[" * 50_000), "train.lr"),
    (("train", "--set", "a." * 50_000 + "a=1"), "no parameter named"),
    (("train", "--set", "task.name=hello", "--set", "task.word=" + "ab" * 9000), "word: string"),
    (("sample", "--length", str(10**30)), "2147483647"),
    (("sample", "--seed", str(2**70)), "9223372036854775807"),
    (("bench", "cells", "--repeats", str(10**30)), "1000"),
    (("bench", "cells", "--size", "1,1,1"), "BATCH,STEPS,HIDDEN,INPUTS"),
    (("bench", "cells", "--size", "9" * 5000 + ",1,1,1"), "BATCH,STEPS,HIDDEN,INPUTS"),
    (("bench", "cells", "--size", "99999999,99999999,99999999,99999999"), "100,000,000 numbers"),
    (("gradient",), "networks"),
    (("gradient", "lstm", "--out", "/dev/null"), "--out must name a folder"),
    (("gradient", "lstm", "--length", "0"), "length"),
    (("gradient", "lstm", "--out", "/etc/passwd/new/out"), "--out must name a folder"),
    (("gradient", "lstm", "--run", "abc"), "no store at"),
    (("gradient", "--run", "abc", "--length", "9"), "a run has settings of its own"),
    (("gradient", "--run", "abc", "--set", "seed=1"), "a run has settings of its own"),
    (("probe",), "Missing argument"),
    (("probe", "abc"), "no store at"),
    (("probe", "abc", "--out", "/dev/null"), "--out must name a folder"),
    (("probe", "abc", "--probes", "audits"), "no probe named 'audits'; did you mean 'audit'"),
    (("probe", "abc", "--probes", "audit,audit"), "has a name twice"),
    (("probe", "abc", "--probes", "none"), "leaves nothing to measure"),
    (("bench", "probes", "--size", "1,1,1,1"), "--size is of cells"),
    (("bench", "probes", "audits"), "no probe named 'audits'; did you mean 'audit'"),
    (("bench", "probes", "--json", "no/such/rows.json"), "there is no folder no/such"),
    (("train", "--set", "train.probes=audit,audit"), "has a name twice"),
    (("bench", "cells", "--json", "no/such/rows.json"), "there is no folder no/such"),
    (("bench", "cells", "--json", "."), "it is no file"),
    (("bench", "cells", "--json", "/dev/null"), "it is no file"),
    (("bench", "cells", "--json", "/etc/passwd/rows.json"), "there is no folder"),
]


@pytest.mark.parametrize(
    ("arguments", "fragment"), MISTAKES, ids=[" ".join(m[0])[:60] for m in MISTAKES]
)
def test_a_mistake_is_one_line_on_stderr_and_code_2(
    arguments: tuple[str, ...], fragment: str, longlag
) -> None:
    code, out, err = longlag(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("longlag: ")
    assert len(err.splitlines()) == 1
    assert fragment in err
    assert "Traceback" not in err
    assert list(Path().iterdir()) == [], "something was written"


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[study\n", "line 1"),
        ("[search]\ntrain.lr = { low = 2.0, high = 1.0 }", "low must be below high"),
        ('[study]\nname = "a/b"', "letters, digits"),
        ("", "the file is empty"),
        ("[fixed]\nseed = 3", "[study] seed"),
        ("[search]\nseed = [1, 2]", "[study] seed"),
        ('[compare.cell]\n".." = { model.cell = "gru" }', "a label"),
        ("[fixed]\nmodel.hiden = 3", "did you mean 'model.hidden'"),
    ],
)
@pytest.mark.parametrize("command", [["sweep"], ["show", "space"]])
def test_a_bad_space_is_one_line(command: list[str], text: str, fragment: str, longlag) -> None:
    Path("bad.toml").write_text(text)
    code, _, err = longlag(*command, "bad.toml")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "bad.toml" in err
    assert fragment in err
    assert [p.name for p in Path().iterdir()] == ["bad.toml"]


def cut_short(folder: Path) -> dict[str, object]:
    given = mnist(folder, packed=False)
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-9])
    return given


def few_characters(folder: Path) -> dict[str, object]:
    (folder / "few.txt").write_text("abc" * 50, encoding="utf-8")
    return {"corpus": "files", "path": str(folder / "few.txt")}


@pytest.mark.parametrize(
    ("name", "made", "fragment"),
    [
        ("mnist", cut_short, "has only"),
        ("characters", few_characters, "shorten task.length"),
        ("csv-series", lambda folder: series(folder) | {"length": 279}, "shorten task.length"),
    ],
)
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_files_that_cannot_be_used_are_one_line_before_anything_is_written(
    command: str, name: str, made: Callable[[Path], dict[str, object]], fragment: str, longlag
) -> None:
    Path("data").mkdir()
    settings = [f"task.{k}={v}" for k, v in ({"name": name} | made(Path("data"))).items()]
    Path("arms.toml").write_text(TINY.replace("task.length = 5\n", ""))
    of = ["arms.toml"] if command == "sweep" else []
    code, out, err = longlag(command, *of, *(w for s in settings for w in ("--set", s)))
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert fragment in err
    assert sorted(p.name for p in Path().iterdir()) == ["arms.toml", "data"]


def test_a_database_that_is_none_is_one_line(longlag) -> None:
    Path("mlruns").mkdir()
    Path("mlruns/mlflow.db").write_bytes(b"no database " * 100)
    for arguments in (("sweep", "quickstart"), ("train",), ("report", "x"), ("ui",)):
        code, _, err = longlag(*arguments)
        assert (code, len(err.splitlines())) == (2, 1), arguments
        assert "cannot open the store" in err
    assert [str(p) for p in sorted(Path().rglob("*"))] == ["mlruns", "mlruns/mlflow.db"]


def test_a_file_in_the_place_of_mlruns_is_one_line(longlag) -> None:
    Path("mlruns").write_text("")
    for arguments in (("sweep", "quickstart"), ("train",)):
        code, _, err = longlag(*arguments)
        assert (code, len(err.splitlines())) == (2, 1)


# Real runs


@pytest.fixture
def in_swept(swept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(swept)
    return swept


def test_a_sweep_by_the_command_line_is_complete(in_swept: Path) -> None:
    runs = Store.open().study("tiny").runs
    roles = sorted(r.tags["role"] for r in runs)
    assert roles == ["arm"] * 2 + ["confirmation"] * 2 + ["trial"] * 2
    assert {r.status for r in runs} == {"FINISHED"}


def test_sweeping_again_does_nothing_and_a_changed_space_is_refused(
    in_swept: Path, longlag
) -> None:
    before = Store.open().study("tiny").runs
    code, out, _ = longlag("sweep", "tiny.toml")
    assert code == 0
    assert "longlag report tiny" in out
    for arguments, change in (
        (("--seed", "1"), f"seed was {Space(name='tiny').seed}, is 1"),
        (("--set", "train.batch=7"), "fixed train.batch "),
    ):
        code, _, err = longlag("sweep", "tiny.toml", *arguments)
        assert (code, len(err.splitlines())) == (2, 1)
        assert change in err
    after = Store.open().study("tiny").runs
    assert [(r.run_id, r.params) for r in after] == [(r.run_id, r.params) for r in before]


def test_an_unknown_study_is_answered_with_the_nearest(in_swept: Path, longlag) -> None:
    code, _, err = longlag("report", "tniy")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "did you mean 'tiny'" in err
    assert not Path("reports").exists()


def test_a_report_goes_to_a_folder_of_its_own(in_swept: Path, longlag) -> None:
    Path("taken").write_text("mine")
    for out in ("taken", "", "/proc/nowhere"):
        code, _, err = longlag("report", "tiny", "--out", out)
        assert (code, len(err.splitlines())) == (2, 1), out
    assert Path("taken").read_text() == "mine"


@pytest.mark.parametrize("cc", ['"gcc', "''", "/", "/etc/passwd", "true", "false", "cat"])
def test_a_compiler_that_is_none_is_one_line(
    cc: str, longlag, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("CC", cc)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("study.engines.native.kernel._kernels", {})
    monkeypatch.setattr("study.engines.native.operators._kernel", operators._kernel.__wrapped__)
    size = ("--repeats", "1", "--size", "2,2,2,2")
    code, out, err = longlag("bench", "cells", "elman", *size, "--json", "rows.json")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "C compiler" in err
    assert list(Path().iterdir()) == []
    if cc in ('"gcc', "''", "/", "/etc/passwd"):
        for command in (("train",), ("sweep", "smoke")):
            code, out, err = longlag(*command, "--set", "train.engine=native")
            assert (code, out, len(err.splitlines())) == (2, "", 1)
            assert "the native engine cannot run here: no C compiler" in err
        assert list(Path().iterdir()) == []


def test_a_study_has_no_other_studys_name_in_another_case(in_swept: Path, longlag) -> None:
    code, _, err = longlag("sweep", "tiny.toml", "--as", "Tiny")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "'Tiny' has the name of study 'tiny' here but for its case" in err
    assert "Tiny" not in Store.open().studies()


@pytest.mark.parametrize("arguments", [("--help",), ("list", "cells"), ("show", "space", "smoke")])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line(arguments: tuple[str, ...]) -> None:
    command = shlex.join([sys.executable, "-m", "study", *arguments])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for redirection, wanted in (("> /dev/full", 2), (">&-", 0)):
        done = subprocess.run(
            f"{command} {redirection}", shell=True, env=environment, capture_output=True, text=True
        )
        assert done.returncode == wanted
        assert len(done.stderr.splitlines()) == wanted // 2
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds_between", [0.01, 0.2])
def test_many_ctrl_c_end_without_a_traceback(seconds_between: float, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "study", "train", "--set", "train.steps=100000"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "solved means" in process.stdout.readline()
        for _ in range(5):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(seconds_between)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "ignored" not in err


def test_a_ctrl_c_while_the_program_loads_ends_without_a_traceback(tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'typer':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from study.__main__ import main\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_a_port_that_is_taken_is_one_line(in_swept: Path, longlag) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = longlag("ui", "--port", str(taken.getsockname()[1]))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "taken" in err


def newest(folder: Path) -> dict[str, float]:
    """The metrics of the last run of `longlag train`, less what a clock measured."""
    run = Store.open(folder).study("train").runs[-1]
    assert run.tags["role"] == "single"
    assert run.status == "FINISHED"
    return {k: v for k, v in run.metrics.items() if "seconds" not in k}


def test_train_runs_again_to_the_same_numbers(in_swept: Path, longlag) -> None:
    wanted = {
        "task.name": "copy",
        "task.length": "2",
        "model.cell": "elman",
        "model.hidden": "3",
        "train.steps": "6",
        "train.evaluate_every": "2",
        "clip": "value",
        "clip.threshold": "0.25",
        "seed": "5",
    }
    settings = [part for k, v in wanted.items() for part in ("--set", f"{k}={v}")]
    code, out, err = longlag("train", *settings, "--test")
    assert (code, err) == (0, "")
    assert "not solved in 6 updates" in out
    first = newest(in_swept)
    assert first["test/recall"] >= 0
    run = Store.open().study("train").runs[-1]
    Path("again.toml").write_text(Store.open().artifact_text(run.run_id, "config.toml"))
    assert longlag("train", "--config", "again.toml", "--test")[0] == 0
    assert newest(in_swept) == first
    # A setting wins over the file; another choice drops the old one's parameters.
    assert longlag("train", "--config", "again.toml", "--set", "clip=none")[0] == 0
    last = Store.open().study("train").runs[-1]
    assert (last.params["clip.name"], last.params["clip.threshold"]) == ("none", "none")
    assert last.params["seed"] == "5"
    assert not any(key.startswith("test/") for key in last.metrics)


LINEAR = {"model.phi": "identity", "train.lr": "1e-9"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train.optimizer": "sgd", "train.lr": "1e30", "clip": "none"}, None),  # not finite
        (
            {"init.recurrent": "scaled-identity", "init.recurrent.scale": "2", **LINEAR},
            "does not decay",
        ),
        (
            {"init.recurrent": "scaled-identity", "init.recurrent.scale": "0.5", **LINEAR},
            "half-life 1 steps",
        ),
    ],
)
def test_train_tells_of_the_gradient_what_was_measured(
    in_swept: Path, longlag, settings: dict[str, str], words: str | None
) -> None:
    small = {"task.length": "8", "model.cell": "elman", "model.hidden": "3", "train.steps": "3"}
    given = [part for k, v in (small | settings).items() for part in ("--set", f"{k}={v}")]
    code, out, _ = longlag("train", *given)
    assert code == 0
    told = [part for part in re.split(r"[,\n]", out) if "gradient" in part]
    assert (words in told[0]) if words else not told
    assert len(told) <= 1


def test_a_training_that_fails_is_recorded_and_is_code_1(
    in_swept: Path, longlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.trial.training.build_model", lambda config: 1 / 0)
    code, out, _ = longlag("train", "--set", "train.steps=2")
    assert code == 1
    assert "ZeroDivisionError" in out
    failed = Store.open().study("train").runs[-1]
    assert failed.status == "FAILED"
    text = MlflowClient(Store.open().uri).list_artifacts(failed.run_id)
    assert "traceback.txt" in {f.path for f in text}


def test_a_first_ctrl_c_ends_training_and_keeps_it(
    longlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = study.trial.training.evaluate

    def interrupt(*arguments: object) -> dict[str, float]:
        monkeypatch.setattr("study.trial.training.evaluate", evaluated)
        signal.raise_signal(signal.SIGINT)
        return evaluated(*arguments)

    monkeypatch.setattr("study.trial.training.evaluate", interrupt)
    words = ["--set", "task.name=hello", "--set", "model.hidden=2", "--set", "train.steps=500"]
    code, out, _ = longlag("train", *words)
    assert code == 130
    assert "stopped after 0 updates" in out
    run = Store.open().newest("train")
    assert MlflowClient(Store.open().uri).get_run(run).data.tags["outcome"] == "pruned"
    assert longlag("sample", run, "--prompt", "h", "--length", "3")[0] == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_gives_the_training_up(longlag, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("study.trial.training.evaluate", interrupt)
    code, _, err = longlag("train")
    assert code == 130
    assert "Traceback" not in err
    with pytest.raises(UserError, match="no finished run"):
        Store.open().newest("train")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_reader_that_leaves_early_is_no_error(swept: Path) -> None:
    command = f"{sys.executable} -m study list cells | true; exit ${{PIPESTATUS[0]}}"
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    done = subprocess.run(
        [bash, "-c", command],
        cwd=swept,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1)  # 1 from rich, which sees it first
    assert done.stderr == ""


def test_what_a_prompt_has_that_is_read_as_rare_is_said(longlag, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcd" * 50, encoding="utf-8")
    tiny = ("task.length=4", "model.hidden=2", "train.batch=2", "train.steps=2")
    text = ("task.name=characters", "task.corpus=files", "task.path=a.txt")
    code, *_ = longlag("train", *[word for s in (*text, *tiny) for word in ("--set", s)])
    assert code == 0
    code, out, err = longlag("sample", "--prompt", "a\N{RIGHTWARDS ARROW}bz\N{RIGHTWARDS ARROW}")
    assert code == 0
    assert out.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}")
    assert "'\N{RIGHTWARDS ARROW}z' of the prompt" in err
    code, _, err = longlag("sample", "--prompt", "ab")
    assert (code, err) == (0, "")
