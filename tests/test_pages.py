"""The README is short, and what it and the pages name is there and works."""

import re
import runpy
from pathlib import Path

import pytest
import torch

from study.commands.entry import app
from study.spaces.file import load

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
MADE_BY_ADDING = set(re.findall(r"^File `([\w./-]+)`:$", TEXTS["docs/adding.md"], re.M))
TOP = ("study", "analysis", "tests", "docs", "search_spaces", "longlag", "mlruns")


def anchors(text: str) -> set[str]:
    """What a heading's link is called: lower case, hyphens, no other marks."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    lines = TEXTS["README.md"].splitlines()
    assert len(lines) <= 120


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_and_picture_is_there(page):
    folder = (ROOT / page).parent
    text = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        place, _, anchor = link.partition("#")
        target = (folder / place).resolve() if place else ROOT / page
        assert target.is_file(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", TEXTS)
def test_every_path_is_there(page):
    paths = re.findall(rf"`((?:{'|'.join(TOP)})/[\w./-]*)`", TEXTS[page])
    there = [(ROOT / p).exists() or (ROOT / f"{p}.py").exists() for p in paths]
    missing = [p for p, found in zip(paths, there, strict=True) if not found]
    assert set(missing) <= MADE_BY_ADDING


def test_the_pictures_belong_to_the_repository_and_are_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXTS["README.md"])
    assert len(pictures) == 3
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 200_000


@pytest.mark.parametrize("page", ["README.md", "docs/spaces.md"])
def test_the_search_spaces_can_be_swept(page, tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```$", TEXTS[page], re.M | re.S)
    file = tmp_path / "example.toml"
    file.write_text(text, encoding="utf-8")
    labels = [arm.labels["bias"] for arm in load(file).arms()]
    assert set(labels) == {"zero", "one"}


@pytest.mark.parametrize("page", ["README.md", "docs/layer.md"])
def test_the_layers_compute(page, tmp_path):
    given = {"x": torch.randn(30, 4, 3), "loss": lambda y: y.square().mean()}
    file = tmp_path / "example.py"
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXTS[page], re.M | re.S)
    file.write_text("\n".join(blocks), encoding="utf-8")
    names = runpy.run_path(str(file), init_globals=given)
    assert names["outputs"].shape == (30, 4, 5)
    assert names["LSTM"].output == "h"


def test_the_commands_of_the_readme_are_commands_of_longlag():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    named = set(re.findall(r"^longlag (\w+)", TEXTS["README.md"], re.M))
    assert named <= known
    told = set(re.findall(r"`longlag (\w+)", "\n".join(TEXTS.values())))
    assert known <= named | told
    assert told <= known
    targets = re.findall(r"^make (\w+)", TEXTS["README.md"], re.M)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets)


def test_the_counts_of_the_readme_are_those_of_the_registries():
    from study.cells import CELLS
    from study.language.nonlinearities import NONLINEARITIES
    from study.tasks import TASKS

    text = TEXTS["README.md"]
    for count, noun in (
        (len(CELLS), "cells]"),
        (len(TASKS), "tasks]"),
        (len(NONLINEARITIES), "nonl"),
    ):
        assert f"{count} {noun}" in text
