"""What a command loads, what is handed on, and a name that is taken."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import longlag
import study

ROOT = Path(__file__).resolve().parent.parent


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded once the code has run in a fresh interpreter."""
    script = f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.splitlines()[-1].split())


def test_a_worker_loads_neither_mlflow_nor_optuna() -> None:
    # A whole job through the worker's own loop, then what it has loaded.
    code = """
import json, multiprocessing, os
from study.sweep import worker
here, there = multiprocessing.Pipe()
config = {"task.length": 3, "model.hidden": 2, "train.batch": 2, "train.steps": 1}
job = {"key": "k", "config": config, "test": False, "dear": False, "may_stop": False}
here.send_bytes(json.dumps(job).encode())
kinds = []
def exit_of_worker(code):
    raise SystemExit(code)
os._exit, real = exit_of_worker, os._exit
class Pipe:
    def recv_bytes(self):
        if not there.poll():
            raise EOFError
        return there.recv_bytes()
    def poll(self):
        return False
    def send_bytes(self, content):
        kinds.append(json.loads(content)["kind"])
try:
    worker.main(Pipe(), 60.0)
except SystemExit:
    pass
assert kinds[-1] == "result", kinds
"""
    assert not loaded_by(code) & {"mlflow", "optuna", "matplotlib", "pandas", "typer"}


def test_untrained_networks_are_measured_without_a_store() -> None:
    code = "import study.commands.gradient, study.commands.gradient_page"
    assert not loaded_by(code) & {"mlflow", "optuna", "matplotlib", "pandas"}


@pytest.mark.parametrize("module", ["longlag", "study"])
def test_public_names_exist_and_are_lazy(module: str) -> None:
    face = importlib.import_module(module)
    for name in face.__all__:
        assert getattr(face, name) is getattr(study, name)
    with pytest.raises(AttributeError, match="nonsense"):
        face.nonsense  # noqa: B018
    assert "torch" not in loaded_by(f"import {module}")


def test_the_public_face_shows_what_type_checkers_see() -> None:
    tree = ast.parse(Path(longlag.__file__).read_text(encoding="utf-8"))
    (guarded,) = [n for n in tree.body if isinstance(n, ast.If)]
    seen = {
        alias.name for n in ast.walk(guarded) if isinstance(n, ast.ImportFrom) for alias in n.names
    }
    assert seen == set(longlag.__all__) == set(study.__all__) <= set(dir(longlag))
    assert longlag.__version__ == study.__version__


@pytest.mark.parametrize(("package", "command"), [("study", "list"), ("analysis", "report")])
@pytest.mark.parametrize("shape", ["{}.py", "{}/__init__.py"])
def test_a_users_own_module_of_our_name_is_told_in_one_line(
    package: str, command: str, shape: str, tmp_path: Path
) -> None:
    theirs = tmp_path / shape.format(package)
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("print('theirs')\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "longlag", command, "cells"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert str(theirs) in done.stderr
    assert "rename" in done.stderr


def test_a_script_is_told_so_too(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text("from longlag import Layer\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "study.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert "longlag.Shadowed: Python finds" in last
    assert str(tmp_path / "study.py") in last
