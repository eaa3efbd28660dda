"""`list` and `show` answer at once: what each loads, and its time against importing torch."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"mlflow", "optuna", "sklearn", "scipy", "matplotlib", "pandas", "torch._dynamo"}

# Says at the end what the command has loaded.
COMMAND = """
import sys
sys.argv = ["longlag", *sys.argv[1:]]
from longlag import main
try:
    main()
except SystemExit as end:
    print("\\n" + str(end.code or 0), *sys.modules)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": cache}


def loaded(words: str, environment: dict[str, str], code: int = 0) -> set[str]:
    """The modules that are loaded when a command has answered."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words.split()],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == str(code), done.stderr
    return set(last[1:])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("list spaces", 0),
        ("list", 2),
        ("list cels", 2),
        ("show cels lstm", 2),
        ("show space quikstart", 2),
    ],
)
def test_what_needs_no_torch_loads_none(words: str, code: int, environment: dict[str, str]) -> None:
    assert not loaded(words, environment, code) & (HEAVY | {"torch", "numpy", "sympy"})


def test_every_file_with_a_command_is_loaded(environment: dict[str, str]) -> None:
    """The one import of them looks unused to whatever tidies imports."""
    files = (ROOT / "study" / "commands").glob("*.py")
    commands = {f.stem for f in files if "@app.command" in f.read_text(encoding="utf-8")}
    assert len(commands) > 5
    assert commands <= {
        name.removeprefix("study.commands.") for name in loaded("--help", environment)
    }


@pytest.mark.parametrize(
    ("words", "others"),
    [
        ("list nonlinearities", {"study.cells", "study.tasks", "study.trial.config"}),
        ("list tasks", {"sympy", "study.cells", "study.trial.config"}),
        ("list settings", {"study.trial.training"}),
        ("show cell lstm", {"study.tasks", "study.trial.config"}),
        ("show space quickstart", {"study.trial.training", "study.sweep.driver"}),
        ("show task adding", {"sympy", "study.cells", "study.trial.config"}),
    ],
)
def test_a_page_loads_what_it_tells_of(
    words: str, others: set[str], environment: dict[str, str]
) -> None:
    assert not loaded(words, environment) & (HEAVY | others)


def test_what_has_been_asked_once_is_not_computed_again(environment: dict[str, str]) -> None:
    first = loaded("show task digits --baselines", environment)
    assert {"sklearn", "torch._dynamo"} <= first
    assert not loaded("show task digits", environment) & HEAVY
    assert not loaded("show task digits --baselines", environment) & HEAVY


def cpu_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    """Of a process; unlike the time that passes, not longer where others compute too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ("list spaces", 0.5),
        ("list settings", 2.0),
        ("show space quickstart", 2.0),
        ("show task adding", 2.0),
    ],
)
def test_a_command_takes_less_than_importing_torch_twice(
    words: str, most: float, environment: dict[str, str]
) -> None:
    """In one round of several at least: what else the machine does makes either take longer."""
    ratios: list[float] = []
    while not ratios or (min(ratios) > most and len(ratios) < 6):
        torch = cpu_seconds(["-c", "import torch"], environment)
        ratios.append(cpu_seconds(["-m", "longlag", *words.split()], environment) / torch)
    assert min(ratios) <= most, ratios
