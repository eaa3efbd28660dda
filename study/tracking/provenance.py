"""Who ran which code: what a run's tags say of it."""

import subprocess
from contextlib import suppress
from functools import lru_cache
from getpass import getuser
from importlib.metadata import version
from pathlib import Path

from study import __version__


@lru_cache(maxsize=1)
def context_tags() -> dict[str, str]:
    """MLflow's own tags, which its client does not add, and versions."""
    import torch

    tags = {
        "mlflow.source.name": "longlag",
        "mlflow.source.type": "LOCAL",
        "version.longlag": __version__,
        "version.torch": torch.__version__,
        "version.mlflow": version("mlflow"),
    }
    with suppress(OSError, KeyError):  # a container may have no name for its user
        tags["mlflow.user"] = getuser()
    code = Path(__file__).resolve().parents[2]
    if commit := _git(code, "rev-parse", "HEAD"):
        tags["mlflow.source.git.commit"] = commit
        tags["code.modified"] = str(bool(_git(code, "status", "--porcelain", "-uno"))).lower()
    return tags


def _git(folder: Path, *arguments: str) -> str:
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
