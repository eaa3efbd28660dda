"""Architecture: imports point to lower layers only, and heavy libraries have one home each."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cases import each

import longlag
import study

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(p for p in (ROOT / "study").rglob("*.py") if "__pycache__" not in p.parts)

# From the bottom up. A folder stands for its files; a module imports its own folder and lower layers,
# never a peer.
LAYERS = [
    ["limits", "denormals", "addresses", "run_record", "relocation"],
    ["layout", "threads", "user_cache"],
    ["errors"],
    ["toml", "interruption"],
    ["space_index"],
    ["notation", "registry", "seeding", "labels", "provenance", "store_address", "database"],
    ["functions", "forms", "design", "store_errors"],
    ["expressions"],
    ["equations"],
    ["nonlinearities", "cells", "initializers", "clipping", "tasks"],
    ["engines", "deep_transition"],
    ["credit"],
    ["layer"],
    ["stack", "bench", "regularizers", "task_drawing", "feedforward"],
    ["models"],
    ["probes"],
    ["sections", "pictures"],
    ["suitability"],
    ["config"],
    ["construction", "guessing", "weights", "divergence"],
    ["training"],
    ["spaces", "tracking", "messages"],
    ["space_sections", "space_check", "trial_record", "worker", "views"],
    ["space_file"],
    ["arm_progress", "search", "spool", "execution", "server", "notes", "study_lock"],
    ["recovery", "filing", "agenda", "deaths", "arm_runs", "lease"],
    ["sweep"],
    ["single", "sampling", "display"],
    ["cell_description", "task_description", "space_description"],
    ["descriptions"],
    ["cli", "cell_page"],
    ["__main__"],
]
_RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def module_of(path: Path) -> str:
    """The layer entry a file belongs to: its folder in study/, or its stem."""
    parts = path.relative_to(ROOT / "study").parts
    return parts[0] if len(parts) > 1 else path.stem


def runtime_imports(path: Path) -> set[str]:
    """Dotted names imported anywhere but under ``if TYPE_CHECKING``, functions included."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def test_every_module_has_a_layer() -> None:
    missing = {module_of(p) for p in FILES} - _RANK.keys() - {"__init__"}
    assert not missing, f"say in LAYERS where these stand: {missing}"


@each("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_to_lower_layers(path: Path) -> None:
    here = module_of(path)
    if here == "__init__":
        return
    for name in sorted(runtime_imports(path)):
        parts = name.split(".")
        if parts[0] != "study" or len(parts) < 2:
            continue
        there = parts[1]
        if there not in _RANK:  # `from study import __version__` and the like
            continue
        assert there == here or _RANK[there] < _RANK[here], f"{path.name} imports {name}"


def test_only_the_command_line_knows_the_analysis() -> None:
    knowing = {p for p in FILES for n in runtime_imports(p) if n.split(".")[0] == "analysis"}
    assert {p.name for p in knowing} <= {"cli.py"}


@pytest.mark.parametrize(
    ("library", "homes"), [("mlflow", {"tracking.py"}), ("optuna", {"search.py"})]
)
def test_a_library_has_one_home(library: str, homes: set[str]) -> None:
    users = {p.name for p in FILES if any(n.split(".")[0] == library for n in runtime_imports(p))}
    assert users == homes


def test_analysis_uses_names_and_tracking_of_study_only() -> None:
    # What a page says about tasks and cells comes from the runs' tags, not from today's code.
    heavy = {"training", "sweep", "search", "execution", "worker", "optuna", "spool", "single"}
    for path in sorted((ROOT / "analysis").rglob("*.py")):
        for name in runtime_imports(path):
            parts = name.split(".")
            assert not (parts[0] == "study" and len(parts) > 1 and parts[1] in heavy), (path, name)
            assert parts[0] not in ("optuna", "mlflow"), (path, name)


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
from study import worker
here, there = multiprocessing.Pipe()
config = {"task.length": 3, "model.hidden": 2, "train.batch": 2, "train.steps": 1}
here.send_bytes(json.dumps({"key": "k", "config": config, "test": False, "may_stop": False}).encode())
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
    worker.main(Pipe())
except SystemExit:
    pass
assert kinds[-1] == "result", kinds
"""
    assert not loaded_by(code) & {"mlflow", "optuna", "matplotlib", "pandas", "typer"}


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
