"""Registries: every one of them answers a typo with the nearest name, in one line."""

import re
import sys
from difflib import get_close_matches
from typing import Literal

import pytest
from cases import each
from pydantic import Field

from study.base.errors import UserError, unknown
from study.base.registry import Choice, Choices, Registry, load_modules
from study.cells import CELLS
from study.clipping import CLIPPING
from study.initializers import BIASES, INPUT_WEIGHTS, RECURRENT, VECTORS
from study.language.nonlinearities import NONLINEARITIES
from study.tasks import TASKS

REGISTRIES = [CELLS, NONLINEARITIES, RECURRENT, INPUT_WEIGHTS, BIASES, VECTORS, CLIPPING, TASKS]
CHOICES = [r for r in REGISTRIES if isinstance(r, Choices)]


def ids(value):
    return value if isinstance(value, str) else getattr(value, "noun", None)


def told(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# --- those that exist ---------------------------------------------------------------------------


@pytest.mark.parametrize("registry", REGISTRIES, ids=ids)
def test_a_typo_is_answered_with_the_name_meant(registry):
    for name in registry:
        # skip-55 is a cell too
        for typo in (
            name + ("x" if name[-1].isdigit() else name[-1]),
            name[1] + name[0] + name[2:] if len(name) > 3 else name + "x",
        ):
            message = told(lambda typo=typo: registry[typo])
            # of names that are alike, such as selu and gelu, another one may be as near
            meant = re.search(r"did you mean '(.+?)'\?", message)[1]
            assert meant == name or get_close_matches(typo, [name, meant], n=1) == [meant]
            assert f"no {registry.noun} named {typo!r};" in message
            names = message.partition("known: ")[2].removesuffix(f", … ({len(registry)} in all)")
            assert name in names.split(", ")
            assert set(names.split(", ")) <= set(registry)
            assert len(registry) > 30 or set(names.split(", ")) == set(registry)


@pytest.mark.parametrize("registry", REGISTRIES, ids=ids)
def test_a_name_far_from_all_is_answered_with_all(registry):
    message = told(lambda: registry["@@@@@@"])
    assert "did you mean" not in message
    if len(registry) <= 30:
        assert message.endswith("known: " + ", ".join(registry))
    else:
        assert message.endswith(f"… ({len(registry)} in all)")


@each("registry", REGISTRIES, ids=ids)
@each("name", [None, 3, ["lstm"], {}, "two\nlines"])
def test_what_is_no_name_is_refused_in_one_line(registry, name):
    told(lambda: registry[name])


@pytest.mark.parametrize("registry", REGISTRIES, ids=ids)
def test_names_are_fit_for_configurations_and_folders(registry):
    for name in registry:
        assert name == name.strip().lower()
        assert name.replace("-", "").isalnum(), name


@pytest.mark.parametrize("registry", REGISTRIES, ids=ids)
def test_a_name_is_taken_once(registry):
    for name in registry:
        size, before = len(registry), registry[name]
        with pytest.raises(ValueError, match=f"'{name}' is registered twice"):
            registry.add(name, before)
        assert len(registry) == size
        assert registry[name] is before


@pytest.mark.parametrize("registry", CHOICES, ids=ids)
def test_every_choice_says_what_it_is_and_answers_to_its_name(registry):
    for name, cls in registry.items():
        assert cls.model_fields["name"].default == name
        assert cls.summary()
        assert "name" not in cls.parameters()


@pytest.mark.parametrize("registry", CHOICES, ids=ids)
def test_unknown_parameters_are_refused(registry):
    for name in registry:
        message = told(lambda name=name: registry.build({"name": name, "colour": 1}))
        assert f"{registry.noun} {name!r} has no parameter 'colour'" in message


# --- the mechanism ------------------------------------------------------------------------------


@pytest.fixture
def shapes() -> Choices:
    registry: Choices = Choices("shape")

    @registry.register
    class Circle(Choice):
        """Round.

        A second line.
        """

        name: Literal["circle"] = "circle"
        radius: float = Field(default=1.0, gt=0)

    @registry.register
    class Square(Choice):
        """Four sides."""

        name: Literal["square"] = "square"
        side: int

    return registry


def test_a_registry_keeps_the_order():
    registry: Registry[int] = Registry("number")
    for name in ("b", "a", "c"):
        assert registry.add(name, ord(name)) == ord(name)
    assert list(registry) == ["b", "a", "c"]
    assert dict(registry.items()) == {"b": 98, "a": 97, "c": 99}
    assert len(registry) == 3
    assert "a" in registry
    assert "d" not in registry


def test_a_duplicate_is_the_programmers_mistake_not_the_users():
    registry: Registry[int] = Registry("number")
    registry.add("a", 1)
    with pytest.raises(ValueError, match="number 'a' is registered twice") as caught:
        registry.add("a", 2)
    assert not isinstance(caught.value, UserError)
    assert registry["a"] == 1


def test_choices_are_built_from_names_mappings_and_instances(shapes):
    circle = shapes.build("circle")
    assert circle.radius == 1.0
    assert shapes.build({"name": "circle", "radius": 2}).radius == 2.0
    assert shapes.build(circle) is circle
    assert circle.summary() == "Round."
    assert circle.parameters() == ["radius"]


def test_building_does_not_change_what_is_given(shapes):
    given = {"name": "circle", "radius": 2}
    shapes.build(given)
    assert given == {"name": "circle", "radius": 2}


def test_a_choice_cannot_be_changed(shapes):
    with pytest.raises(ValueError, match="frozen"):
        shapes.build("circle").radius = 3.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("circel", "no shape named 'circel'; did you mean 'circle'? known: circle, square"),
        ({}, "shape needs a name; known: circle, square"),
        ({"radius": 1}, "shape needs a name"),
        ({"name": "circle", "radius": 0}, "shape 'circle': radius: input should be greater than 0"),
        ({"name": "circle", "radius": float("nan")}, "finite"),
        ({"name": "circle", "radius": "wide"}, "(got 'wide')"),
        ({"name": "circle", "radus": 1}, "no parameter 'radus'; its parameters: radius"),
        ("square", "shape 'square' needs its parameter 'side'"),
        ({"name": "square", "side": 1.5}, "side"),
        ({"name": ["circle"]}, "no shape named"),
    ],
)
def test_mistakes_in_choices(shapes, given, said):
    assert said in told(lambda: shapes.build(given))


@pytest.mark.parametrize(
    ("given", "known", "near"),
    [("lstmm", ["gru", "lstm"], "lstm"), ("gur", ["gru", "lstm"], "gru"), ("zzz", ["gru"], None)],
)
def test_unknown_names_the_nearest(given, known, near):
    message = str(unknown("cell", given, known))
    assert (f"did you mean '{near}'?" in message) == (near is not None)
    assert message.endswith(", ".join(known))


def test_the_list_of_the_known_reads_well_without_a_nearest():
    assert str(unknown("cell", "zzz", ["gru"])) == "no cell named 'zzz'; known: gru"


def test_every_module_is_loaded_by_name_whichever_folder_it_lies_in(tmp_path, monkeypatch):
    for name in ("__init__", "b", "d", "room/__init__", "room/a", "room/c"):
        path = tmp_path / "things" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.syspath_prepend(tmp_path)
    load_modules("things", first=("d",))
    loaded = [name for name in sys.modules if name.startswith("things.") and name != "things.room"]
    assert loaded == ["things.d", "things.room.a", "things.b", "things.room.c"]


def test_a_module_that_cannot_be_imported_is_not_passed_over(tmp_path, monkeypatch):
    folder = tmp_path / "broken_things" / "room"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").write_text("import no_such_module\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="no_such_module"):
        load_modules("broken_things")
