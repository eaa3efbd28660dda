"""What a store cannot hold and no computation can take is refused when it is read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlParam, SqlRun, SqlTag
from mlflow.utils import validation

from study.base import limits
from study.base.errors import UserError
from study.spaces import file as space_file
from study.spaces import index as space_index
from study.spaces.space import Space
from study.sweep.driver import Sweep
from study.tracking.notes import experiment_note
from study.tracking.store import Store
from study.tracking.views import tags
from study.trial.config import GROUPS, TrialConfig, known_names, plain_settings


def space(**tables: Any) -> Space:
    return space_file._build(tables, "stem", {})


# The limits are the store's


def test_the_limits_are_those_of_mlflow() -> None:
    assert limits.KEY == validation.MAX_ENTITY_KEY_LENGTH
    assert limits.KEY == validation.MAX_EXPERIMENT_TAG_KEY_LENGTH
    assert limits.PARAMETER == validation.MAX_PARAM_VAL_LENGTH
    assert limits.RUN_TAG == validation.MAX_TAG_VAL_LENGTH
    assert limits.EXPERIMENT_TAG == validation.MAX_EXPERIMENT_TAG_VAL_LENGTH
    assert limits.NAME <= validation.MAX_EXPERIMENT_NAME_LENGTH
    assert SqlRun.__table__.c.name.type.length == limits.RUN_NAME  # what PostgreSQL enforces
    assert SqlTag.__table__.c.key.type.length == limits.KEY
    assert SqlTag.__table__.c.value.type.length >= limits.RUN_TAG
    assert SqlParam.__table__.c.value.type.length >= limits.PARAMETER
    assert SqlExperiment.__table__.c.name.type.length >= limits.NAME
    assert max(map(len, known_names())) <= limits.NAME, "a setting that could be no axis"


@settings(max_examples=300)
@given(st.from_regex(limits._AXIS, fullmatch=True))
def test_mlflow_takes_the_name_of_every_axis(axis: str) -> None:
    key = f"axis.{axis}"
    validation._validate_param(key, "x")
    validation._validate_tag(key, "x")
    assert "\n" not in axis


@pytest.mark.parametrize("key", ["axis.a\n", "axis.a'b", "axis.a+b", "axis.a\0"])
def test_what_an_axis_may_not_be_called_mlflow_refuses_or_passes_on(key: str) -> None:
    # Its pattern lets a line break at the end through, so that pattern alone is no check.
    if key.endswith("\n"):
        validation._validate_param_name(key)
    else:
        with pytest.raises(MlflowException):
            validation._validate_param_name(key)
    assert limits.axis_problem(key.removeprefix("axis."))


ODD = [
    *("a\n", "a\nb", "\n", "a/b", "/a", "a//b", "../a", "a/../b", "a'b", 'a"b', "a`b", "a+b"),
    *("a\0", "a\x1b[31m", "a\tb", "", " ", " a", "a ", "-a", ".a", "..", "a,b", "a=b", "a\\b"),
    *("$a$", "a%b", "a:b", "a;b", "{a}", "<a>", "a\u200bb", "a\u2028b", "a" * 65, "a" * 300),
]


@pytest.mark.parametrize("axis", ODD)
def test_an_axis_whose_name_cannot_be_stored_is_refused(axis: str) -> None:
    with pytest.raises(UserError, match="axis has letters, digits") as refusal:
        space(compare={axis: {"a": {"train.steps": 3}, "b": {"train.steps": 4}}})
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("label", ["a\n", "a b", "a'b", "a/b", "", ".a", "a\0", "é", "a" * 65])
def test_a_label_that_cannot_be_stored_is_refused(label: str) -> None:
    with pytest.raises(UserError, match="label has letters, digits"):
        space(compare={"n": {label: {"train.steps": 3}}})


@pytest.mark.parametrize("name", ["Default", "default", "DEFAULT", "train", "Train", "TRAIN"])
def test_a_study_is_not_called_as_somebody_elses_experiment(name: str) -> None:
    with pytest.raises(UserError, match="give the study another name"):
        space(study={"name": name}, fixed={})
    with pytest.raises(UserError, match="give the study another name"):
        space_index.check_study_name(name)


@pytest.mark.parametrize("name", ["..", ".a", "", " ", "a b", "a/b", "a\0", "-a", "é", "a" * 65])
def test_a_study_has_a_name_that_files_can_have(name: str) -> None:
    with pytest.raises(UserError, match="letters, digits"):
        space_index.check_study_name(name)


@pytest.mark.parametrize("key", ["question", "notes"])
@pytest.mark.parametrize("text", ["w" * 30_000, "a\0b", "\ud800"])
def test_words_that_cannot_be_stored_are_refused(key: str, text: str) -> None:
    with pytest.raises(UserError, match=rf"\[study\] {key}: a text") as refusal:
        space(study={key: text})
    assert len(str(refusal.value)) < 300


def test_an_arm_whose_name_is_too_long_for_a_run_is_refused() -> None:
    steps = ["steps", "evaluate_every", "batch", "lr"]
    compare = {
        f"axis{i}": {f"{'a' * 62}{j}": {f"train.{name}": 3 + j} for j in range(2)}
        for i, name in enumerate(steps)
    }
    with pytest.raises(UserError, match=r"at most 200 characters \(got 261\)"):
        space(compare=compare)
    kept = space(compare={k: compare[k] for k in list(compare)[:3]})
    names = [f"{arm.title} · search 20 · rerun 99 of #99999" for arm in kept.arms()]
    assert max(map(len, names)) <= limits.RUN_NAME


def worst() -> list[Space]:
    """The largest texts, with very many labels, tasks, and tasks beside others."""
    study = {"question": "q" * limits.QUESTION, "notes": "n\n" * (limits.NOTES // 2)}

    def labels(count: int, setting: str) -> dict[str, Any]:
        return {f"{'x' * 59}+{i}": {setting: i + 2} for i in range(count)}

    sizes = [(1000, 0), (0, 300), (8, 40), (2, 100), (4, 3)]
    found = []
    for networks, tasks in sizes:
        compare = {}
        if networks:
            compare["n" * 64] = labels(networks, "train.steps")
        if tasks:
            compare["t" * 64] = labels(tasks, "task.length")
        found.append(space(study=study, compare=compare))
    return found


def test_whatever_a_space_holds_its_experiment_can_be_described() -> None:
    for one in worst():
        assert len(experiment_note(one, "123")) <= limits.EXPERIMENT_TAG
        made = tags(one)
        assert len(made) >= 4
        for key, value in made.items():
            validation._validate_experiment_tag(key, value)


def test_a_study_at_the_limits_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    compare = {
        "größe 1 - a.b_c": {f"{'a' * 62}+{i}": {"model.hidden": i + 2} for i in range(2)},
        "t": {f"{'t' * 62}+{i}": {"task.length": i + 2} for i in range(2)},
    }
    study = {"question": "é" * limits.QUESTION, "notes": "ν" * limits.NOTES, "seed": limits.SEED}
    statuses = Sweep(space(study=study, compare=compare), tmp_path, workers=1).run()
    next(statuses)
    statuses.close()
    runs = Store.open(tmp_path).study("stem").runs
    assert len(runs) == 4
    assert {run.tags["axis.größe 1 - a.b_c"] for run in runs} == set(compare["größe 1 - a.b_c"])


# Numbers and texts of a configuration


def parameters(kind: type) -> list[tuple[str, str, str]]:
    """Group, choice and parameter of everything of that type."""
    return [
        (group, name, field)
        for group, choices in GROUPS.items()
        for name, choice in choices.items()
        for field in choice.parameters()
        if choice.model_fields[field].annotation is kind
    ]


LARGE = [(int, 10**30), (int, 2**31), (float, 1e39), (float, 10**39), (float, 2e30)]
SEVERAL = "|".join(("at most", "less than", "must be", "needs", "below"))


@pytest.mark.parametrize(("kind", "number"), LARGE)
def test_a_number_that_nothing_can_compute_with_is_refused(kind: type, number: float) -> None:
    plain = [name for name, info in plain_settings() if info.annotation is kind and name != "seed"]
    assert plain
    for name in plain:
        with pytest.raises(UserError, match=f"{re.escape(name)}: .*({SEVERAL})"):
            TrialConfig.from_flat({name: number})
    for group, name, field in parameters(kind):
        with pytest.raises(UserError, match=f"{field}: .*({SEVERAL})"):
            GROUPS[group].build({"name": name, field: number})


def test_a_seed_has_64_bits() -> None:
    assert TrialConfig.from_flat({"seed": 2**63 - 1}).seed == 2**63 - 1
    for number in (2**63, 2**70, 10**30):
        with pytest.raises(UserError, match="seed"):
            TrialConfig.from_flat({"seed": number})
        with pytest.raises(UserError, match="seed"):
            space(study={"seed": number})


@pytest.mark.parametrize("text", ["w" * 10_000, "a\0b", "\ud800"])
def test_a_text_that_cannot_be_stored_is_refused(text: str) -> None:
    assert parameters(str)
    for group, name, field in parameters(str):
        with pytest.raises(UserError, match=f"{field}: (a text|string|.* string)") as refusal:
            GROUPS[group].build({"name": name, field: text})
        assert len(str(refusal.value)) < 300


def test_every_text_at_its_limit_leaves_room_in_a_tag() -> None:
    # JSON writes a letter beyond ASCII with six characters, one beyond 16 bits with twelve.
    assert len(json.dumps("é" * limits.SETTING)) <= limits.RUN_TAG


# How much a study can have


def test_ever_more_values_are_refused_without_being_tried() -> None:
    values = list(range(2, 100_002))
    for table in ("compare", "search"):
        with pytest.raises(UserError, match="100000 values; it can have 1000 at most"):
            space(**{table: {"train.steps": values}})


def test_what_is_tried_grows_with_the_arms_and_values_and_not_with_their_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = 0
    real = TrialConfig.from_flat

    def counted(flat: Any) -> TrialConfig:
        nonlocal built
        built += 1
        return real(flat)

    monkeypatch.setattr(TrialConfig, "from_flat", counted)
    few, values = list(range(2, 102)), list(range(2, 302))
    names = ("train.steps", "train.evaluate_every", "model.hidden")
    space(
        study={"trials": 2},
        compare={"task.length": few},
        search=dict.fromkeys(names, values),
    )
    corners = 2 * len(names)
    assert built <= len(few) * (1 + corners) + len(names) * len(values) + corners**2


def test_a_study_of_more_trials_than_a_store_shows_is_refused() -> None:
    many = {"task.length": list(range(2, 502))}
    with pytest.raises(UserError, match="500 arms with 300 trials each are 150,000 trials"):
        space(study={"trials": 300}, compare=many)
    grid = {"train.steps": list(range(1, 31)), "train.batch": list(range(1, 31))}
    with pytest.raises(UserError, match="at most 100,000"):
        space(study={"sampler": "grid"}, compare=many, search=grid)


def test_a_combination_that_cannot_be_is_found_wherever_it_is() -> None:
    """Between two labels, a label and a value, two values, a value and what is fixed."""
    bad = ("model.cell", "lstm"), ("init.recurrent.name", "identity")
    good = ("model.cell", "elman"), ("init.recurrent.name", "uniform")
    places = ("fixed", "compare", "search")
    for first in places:
        for second in places:
            tables: dict[str, Any] = {"fixed": {}, "compare": {}, "search": {}}
            for place, wrong, right in zip((first, second), bad, good, strict=True):
                name = wrong[0]
                tables[place][name] = wrong[1] if place == "fixed" else [right[1], wrong[1]]
            tables["search"]["train.lr"] = {"low": 0.1, "high": 0.2}
            tables["compare"]["train.steps"] = [3, 4, 5]
            with pytest.raises(UserError, match="does not suit lstm"):
                space(**tables)
