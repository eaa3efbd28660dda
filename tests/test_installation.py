"""What is installed: a wheel with every file, which works outside the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("longlag", "study", "analysis", "search_spaces")
METADATA = ("pyproject.toml", "README.md", "LICENSE")
SPACE = """
[study]
question = "Does it run where it is installed?"
trials = 1
confirmations = 1
reruns = 0

[fixed]
task = { name = "adding", length = 3 }
model.hidden = 2
train = { steps = 2, batch = 2, evaluate_every = 1 }

[search]
train.lr = { low = 0.001, high = 0.1, log = true }
"""


def belonging() -> list[str]:
    """The files that git tracks or would, relative to the root; without git, all but bytecode."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PACKAGES]
    try:
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = told.stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
        names = [str(p.relative_to(ROOT)) for p in found if "__pycache__" not in p.parts]
    return sorted(name for name in names if (ROOT / name).is_file())


def run(command: list[str | Path], cwd: Path) -> str:
    """Its output. The checkout is nowhere on the path of what runs."""
    left_out = {"PYTHONPATH", "MLFLOW_TRACKING_URI", "PYTEST_ADDOPTS"}
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders behind, and takes up what an earlier one left."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*belonging(), *METADATA):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    # The build tool is an extra of the tests: nothing is downloaded.
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", made, source], made)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of a new environment that has the wheel, and sees what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], folder)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run([python, "-I", "-c", asked], folder).strip())
    # A folder named in a .pth comes after the environment's own packages, and its own .pth files,
    # which make a checkout importable, are not read.
    theirs = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    (own / "dependencies.pth").write_text("\n".join(theirs) + "\n", encoding="utf-8")
    yield python.parent
    shutil.rmtree(folder)


def test_the_wheel_has_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if ".dist-info/" not in n and not n.endswith("/")]
    assert sorted(names) == belonging()


def test_a_study_is_swept_and_reported_where_the_wheel_is_installed(
    installed: Path, tmp_path: Path
) -> None:
    asked = "import longlag, study, analysis; print(longlag.__file__, study.__file__, analysis.__file__)"
    for place in run([installed / "python", "-I", "-c", asked], tmp_path).split():
        assert Path(place).is_relative_to(installed.parent)
    (tmp_path / "tiny.toml").write_text(SPACE, encoding="utf-8")
    longlag = installed / "longlag"
    run([longlag, "sweep", "tiny.toml", "--workers", "1"], tmp_path)
    run([longlag, "report", "tiny"], tmp_path)
    page = (tmp_path / "reports" / "tiny" / "index.html").read_text(encoding="utf-8")
    assert "Does it run where it is installed?" in page
    assert "quickstart" in run([longlag, "list", "spaces"], tmp_path)
    assert "sigmoid(W_f x" in run(
        [installed / "python", "-m", "longlag", "show", "cell", "lstm"], tmp_path
    )


@pytest.mark.parametrize("module", ["longlag", "study"])
def test_each_name_starts_the_command(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("longlag ")
