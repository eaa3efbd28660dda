"""Everything on docs/adding.md works as it is written, in a copy of the packages."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
PACKAGES = ("longlag", "study", "analysis", "search_spaces")
BLOCKS = re.findall(
    r"^(File|At the end of) `([\w./-]+)`:\n\n```(?:python|toml)\n(.*?)^```$", PAGE, re.M | re.S
)
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
    for line in block.splitlines()
]

# What must have been called by the commands: a rule that is accepted and then left out has no effect.
USED = {
    "study.clipping.largest:LargestEntryClipping": "clip",
    "study.credit.discounted:Discounted": "carry",
    "study.initializers.shift:CyclicShift": "draw",
    "study.networks.attention:EvenAttentionLayer": "_scores",
    "study.probes.state_sizes:StateSizes": "summary",
    "study.tasks.synthetic.first_minus_last:FirstMinusLast": "sample",
    "study.tasks.real.labelled_strings:LabelledStrings": "splits",
    "study.trial.regularizers:NormStabilizer": "add",
}

# Runs the commands one after the other, so that torch is loaded once, and then draws the figure.
RUNNER = """
import contextlib, importlib, io, json, os, shlex, sys
from unittest import mock
from study.commands.entry import app

commands, used = json.loads(sys.stdin.readline())
told = {}

def watch(place, method):
    module, name = place.split(":")
    owner = getattr(importlib.import_module(module), name)
    whole = getattr(owner, method)
    told[place] = {"calls": 0}

    def counted(*given, **named):
        told[place]["calls"] += 1
        return whole(*given, **named)

    setattr(owner, method, counted)

for place, method in used.items():
    watch(place, method)
for command in commands:
    # Baselines are kept beside the copy, and not among the user's.
    changed = {"XDG_CACHE_HOME": "cache"} if "--baselines" in command else {}
    said = io.StringIO()
    with mock.patch.dict(os.environ, changed), contextlib.redirect_stdout(said):
        told[command] = {"code": app(shlex.split(command)[1:], standalone_mode=False) or 0}
    told[command]["said"] = said.getvalue()

from synthetic import ARCHITECTURES, make
from analysis.data.runs import read_study
from analysis.figures import FIGURES, style

two = {name: ARCHITECTURES[name] for name in ("tanh", "lstm")}
results = read_study(make(trials=3, architectures=two), "synthetic")
with style.page():
    drawing = FIGURES["loss_and_seconds"].draw(results)
    drawing.figure.savefig("drawn.png")
told["figure"] = {"caption": drawing.caption, "panels": len(drawing.figure.axes)}

from reconciliation import assert_same

told["witness"] = {"same": assert_same("gated-average", "reference") is None}
json.dump(told, sys.__stdout__)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages with everything of the page in its place."""
    copy = tmp_path_factory.mktemp("copy")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    witnesses = Path("tests", "cells")
    shutil.copytree(ROOT / witnesses, copy / witnesses)
    for how, path, text in BLOCKS:
        file = copy / path
        assert file.parent.is_dir(), f"{path}: there is no such room"
        assert file.exists() == (how != "File"), path
        before = file.read_text(encoding="utf-8") + "\n\n" if file.exists() else ""
        file.write_text(before + text, encoding="utf-8")
    strings = "".join(f"{'odd' if n % 2 else 'even'}\t{n:b}\n" for n in range(1, 61))
    (copy / "strings.tsv").write_text(strings, encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def told(copy: Path) -> dict[str, dict[str, object]]:
    """What each command returned and printed."""
    tests = (copy / "tests" / "cells", ROOT / "tests", ROOT / "tests" / "analysis")
    paths = os.pathsep.join(map(str, (copy, *tests)))
    environment = os.environ | {"PYTHONPATH": paths, "COLUMNS": "100"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=copy,
        env=environment,
        input=json.dumps([COMMANDS, USED]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (copy / "drawn.png").stat().st_size > 1000
    return json.loads(done.stdout.splitlines()[-1])


def test_every_kind_of_the_table_has_an_example():
    kinds = re.findall(r"^\| \[.*?\]\(#(.*?)\) \|", PAGE, re.M)
    assert len(kinds) == 12
    for kind in kinds:
        _, _, section = PAGE.partition(f"\n## {kind.replace('-', ' ').capitalize()}\n")
        assert re.search(r"^(File|At the end of) `", section.partition("\n## ")[0], re.M), kind


def test_every_block_of_code_is_a_file_of_the_test():
    assert len(BLOCKS) == len(re.findall(r"^```(?:python|toml)$", PAGE, re.M))
    assert len(COMMANDS) > len(BLOCKS)


def test_the_examples_keep_the_style_of_the_house(copy):
    shutil.copy(ROOT / "pyproject.toml", copy)
    files = [path for _, path, _ in BLOCKS if path.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *files]
        done = subprocess.run(ruff, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_does_what_it_says(told, command):
    answer = told[command]
    assert answer["code"] == 0, answer["said"]
    named = re.search(r"(?:show \w+|list|sweep|claims|name=|phi=|cell=|probes=) ?([\w-]+)", command)
    assert named is not None
    expected = "not solved in 2 updates" if " train " in command else named[1]
    assert expected in answer["said"]


@pytest.mark.parametrize("place", USED)
def test_what_was_chosen_was_used(told, place):
    assert told[place]["calls"] > 0


def test_the_probe_is_listed(told):
    assert re.search(
        r"^state_sizes +start, end +trials +How large the states are",
        told["longlag list probes"]["said"],
        re.M,
    )


def test_the_cell_is_the_step_of_its_witness(told):
    assert told["witness"]["same"]


def test_the_figure_is_drawn(told):
    assert told["figure"]["panels"] == 2
    assert "One point a confirmation run" in told["figure"]["caption"]


def test_a_baseline_without_memory_does_not_solve_the_example_task(told):
    said = told["longlag show task first-minus-last --set task.length=20 --baselines"]["said"]
    assert "quadratic in the last" in said
    assert "meets the criterion" not in said
