"""The rooms: imports point down as docs/architecture.md has it, and heavy libraries have one home each."""

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("study", "analysis")
# The public face and the command's start stand above everything, and nothing imports them.
OUTSIDE = {"study", "study.__main__", "analysis"}


def levels_of(page: str) -> dict[str, int]:
    """The level of each room, by its dotted name, from the table's rows."""
    rows = re.findall(r"^\| (\d+) \| `([\w/]+)` \|", page, flags=re.M)
    return {room.replace("/", "."): int(level) for level, room in rows}


LEVELS = levels_of(PAGE.read_text(encoding="utf-8"))


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of our packages below a folder, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_by(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those in functions and for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def longest_prefix(name: str, known: "dict[str, int] | dict[str, Path]") -> str:
    """The longest of the known dotted names that a name is or begins with; "" when there is none."""
    parts = name.split(".")
    prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in known), "")


def wrong_imports(root: Path, levels: dict[str, int]) -> list[str]:
    """Every import that does not point down, and every module that stands in no room, in a line each."""
    modules = modules_of(root)
    wrong = []
    for module, path in modules.items():
        if module in OUTSIDE:
            continue
        here = longest_prefix(module, levels)
        if not here:
            wrong.append(f"{module} stands in no room")
            continue
        for line, name in imported_by(path):
            target = longest_prefix(name, modules)
            if not target or name == "study.__version__":
                continue
            there = longest_prefix(target, levels)
            top = here == "study.commands" and target == "study"
            if here != there and not top and levels.get(there, 99) >= levels[here]:
                wrong.append(f"{module}, line {line}: imports {name} of {there or 'no room'}")
    return wrong


def circle(root: Path) -> list[str]:
    """Modules that import one another in a circle, a package's own file among them; [] for none."""
    modules = modules_of(root)
    graph = {
        module: {longest_prefix(name, modules) for _, name in imported_by(path)} - {"", module}
        for module, path in modules.items()
        if module not in OUTSIDE
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_import_points_to_a_room_below() -> None:
    assert wrong_imports(ROOT, LEVELS) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(ROOT) == []


def test_every_room_of_the_page_is_there() -> None:
    assert len(LEVELS) > 20
    rooms = {longest_prefix(module, LEVELS) for module in modules_of(ROOT)} - {""}
    assert rooms == LEVELS.keys()


def test_tests_stand_in_rooms_of_the_same_names() -> None:
    for folder in {path.parent for path in (ROOT / "tests").rglob("test_*.py")}:
        room = folder.relative_to(ROOT / "tests")
        assert (ROOT / "study" / room).is_dir() or (ROOT / room).is_dir(), folder


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A made-up tree that is in order."""
    files = {
        "study/__init__.py": "from study.top.roof import Roof\n__version__ = '1'\n",
        "study/low/__init__.py": "",
        "study/low/ground.py": "import os\n",
        "study/low/cellar.py": "from study import __version__\nfrom study.low import ground\n",
        "study/low/deep/stone.py": "from study.low.ground import os\n",
        "study/side/wall.py": "from study.low.cellar import ground\n",
        "study/top/roof.py": "import study.low.ground\nfrom study.side import wall\n",
        "analysis/data/runs.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


MADE_UP = {
    "study.low": 1,
    "study.low.deep": 2,
    "study.side": 2,
    "study.top": 3,
    "analysis.data": 2,
}


def test_a_house_in_order_has_no_wrong_import(house: Path) -> None:
    assert wrong_imports(house, MADE_UP) == []
    assert circle(house) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("study/low/ground.py", "from study.top import roof"),
        ("study/low/ground.py", "from study.top.roof import Roof"),
        ("study/low/ground.py", "import study.top.roof"),
        ("study/low/ground.py", "def late():\n    from study.side.wall import stone"),
        ("study/low/ground.py", "if TYPE_CHECKING:\n    from study.top.roof import Roof"),
        (
            "study/low/ground.py",
            "from study.low.deep.stone import os",
        ),  # a room in this one, above it
        ("study/low/ground.py", "from study import Roof"),  # by way of the public face
        ("study/low/__init__.py", "from study.side import wall"),
        ("study/side/wall.py", "from analysis.data import runs"),  # a peer
        ("study/side/wall.py", "import study"),
        ("study/attic.py", ""),  # a room of its own, of which the page knows nothing
    ],
)
def test_a_wrong_import_is_told(house: Path, module: str, line: str) -> None:
    with (house / module).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    (told,) = wrong_imports(house, MADE_UP)
    assert told.startswith(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def test_a_circle_within_a_room_is_told(house: Path) -> None:
    (house / "study/low/ground.py").write_text(
        "def late():\n    from study.low.cellar import ground\n", encoding="utf-8"
    )
    assert wrong_imports(house, MADE_UP) == []
    assert set(circle(house)) == {"study.low.ground", "study.low.cellar"}


def test_the_page_is_read_row_by_row() -> None:
    page = (
        "# x\n\n| | room | what |\n|---|---|---|\n| 1 | `study/a` | b |\n| 12 | `study/a/c` | d |\n"
    )
    assert levels_of(page) == {"study.a": 1, "study.a.c": 12}


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("mlflow", {"study.tracking.reading", "study.tracking.store"}),
        ("optuna", {"study.sweep.search"}),
    ],
)
def test_a_library_has_one_home(library: str, home: set[str]) -> None:
    users = {
        module
        for module, path in modules_of(ROOT).items()
        if any(name.split(".")[0] == library for _, name in imported_by(path))
    }
    assert users == home


def test_only_the_command_line_knows_the_analysis() -> None:
    for module, path in modules_of(ROOT).items():
        if module.startswith("study.") and not module.startswith("study.commands."):
            assert not [n for _, n in imported_by(path) if n.split(".")[0] == "analysis"], module


def test_the_analysis_knows_what_runs_say_and_not_todays_code() -> None:
    for module, path in modules_of(ROOT).items():
        if module.startswith("analysis."):
            ours = {n for _, n in imported_by(path) if n.split(".")[0] == "study"}
            assert {".".join(n.split(".")[:2]) for n in ours} <= {"study.base", "study.tracking"}, (
                module
            )


FACES = sorted(
    module
    for module, path in modules_of(ROOT).items()
    if path.name == "__init__.py" and "handed_on(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("room", FACES)
def test_a_face_hands_on_what_type_checkers_see(room: str) -> None:
    tree = ast.parse(modules_of(ROOT)[room].read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (table,) = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    assert set(ast.literal_eval(table)) == seen.keys()
    face = importlib.import_module(room)
    for name, module in seen.items():
        assert module is not None
        assert getattr(face, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match=f"module {room!r} has no attribute 'nonsense'"):
        face.nonsense  # noqa: B018


def test_every_room_says_what_it_is_for() -> None:
    for module, path in modules_of(ROOT).items():
        if path.name == "__init__.py":
            assert importlib.import_module(module).__doc__, module
    for room in LEVELS:
        assert (ROOT / room.replace(".", "/") / "__init__.py").is_file() or (
            ROOT / room.replace(".", "/")
        ).with_suffix(".py").is_file()
