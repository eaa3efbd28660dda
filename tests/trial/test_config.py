"""Configurations: three notations of one thing, and every mistake answered in one line."""

import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from cases import each
from hypothesis import given, settings
from hypothesis import strategies as st

from study.base.errors import UserError
from study.cells import CELLS
from study.language.nonlinearities import NONLINEARITIES
from study.trial.config import (
    GROUPS,
    TrialConfig,
    check_name,
    flatten,
    kind_of,
    known_names,
    merge,
    nest,
    parse_setting,
    read_toml,
    write_toml,
)


def value_of(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    low, high = None, None
    for bound in metadata:
        low = getattr(bound, "ge", getattr(bound, "gt", low))
        high = getattr(bound, "le", getattr(bound, "lt", high))
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return st.sampled_from(["hello", "some folder/file.txt"])
    if annotation is int:
        return st.integers(low if low is not None else -5, high if high is not None else 10**6)
    if annotation is float:
        low = -1e6 if low is None else low
        high = 1e6 if high is None else high
        return st.floats(low, high, exclude_min=True, exclude_max=high < 1e6)
    raise AssertionError(f"say how to draw {annotation}")


@st.composite
def configurations(draw: st.DrawFn) -> TrialConfig:
    flat: dict[str, Any] = {"seed": draw(st.integers(0, 2**63 - 1))}
    for group, choices in GROUPS.items():
        known = [n for n, c in choices.items() if not getattr(c, "needs_files", False)]
        cls = choices[draw(st.sampled_from(known))]
        flat[f"{group}.name"] = cls.model_fields["name"].default
        for field in cls.parameters():
            if draw(st.booleans()):
                info = cls.model_fields[field]
                flat[f"{group}.{field}"] = draw(value_of(info.annotation, info.metadata))
    flat["model.cell"] = draw(st.sampled_from(list(CELLS)))
    flat["model.phi"] = draw(st.sampled_from(list(NONLINEARITIES)))
    flat["model.hidden"] = draw(st.integers(1, 8192))
    flat["model.layers"] = draw(st.integers(1, 16))
    flat["model.bidirectional"] = draw(st.booleans())
    flat["model.residual"] = flat["model.layers"] > 1 and draw(st.booleans())
    flat["train.optimizer"] = draw(st.sampled_from(["adam", "sgd", "nesterov", "rmsprop"]))
    if flat["train.optimizer"] == "rmsprop":
        flat["train.alpha"] = draw(st.floats(0, 1, exclude_max=True))
    if flat["train.optimizer"] != "adam":
        flat["train.momentum"] = draw(st.floats(0, 1, exclude_max=True))
    flat["train.lr"] = draw(st.floats(0, 1e3, exclude_min=True))
    flat["train.batch"] = draw(st.integers(1, 65_536))
    for name in ("steps", "evaluate_every"):
        flat[f"train.{name}"] = draw(st.integers(1, 10**7))
    try:
        return TrialConfig.from_flat(flat)
    except UserError as error:
        together = (
            *("does not suit", "must be below", "rtrl keeps", "acts on the gradient"),
            *("is for version", "criterion of version", "length must be", "task.path"),
            *("set model.layers to 1", "set model.bidirectional to false"),
            *("follows one pass through time", "nothing reads what the encoder's backward"),
            *(
                "numbers of a mini-batch",
                "must not be before",
                "letter that different ones follow",
                "variance must be above",
                "even length",
            ),
            *(
                "once all is read",
                "chooses among the steps that were read",
                "an encoder's and a decoder's",
                "'dot'",
            ),
        )
        if not any(words in str(error) for words in together):
            raise
        alone = ("init.", "regularizer", "credit", "task", "attention")
        kept = {k: v for k, v in flat.items() if not k.startswith(alone)}
        return TrialConfig.from_flat(kept)


@settings(deadline=None)
@given(configurations())
def test_flat_nested_and_toml_are_one_configuration(c: TrialConfig) -> None:
    assert TrialConfig.from_flat(c.flat()) == c
    assert TrialConfig.from_nested(nest(c.flat())) == c
    assert TrialConfig.from_nested(tomllib.loads(c.to_toml())) == c
    assert flatten(nest(c.flat())) == c.flat()
    assert TrialConfig.from_flat(merge(c.flat(), {})) == c


@settings(deadline=None)
@given(configurations())
def test_complete_has_every_name_and_the_same_values(c: TrialConfig) -> None:
    complete = c.complete()
    assert list(complete) == known_names()
    given_values = {
        k: v for k, v in complete.items() if v != "none" or k in ("clip.name", "regularizer.name")
    }
    assert TrialConfig.from_flat(given_values) == c
    for name, value in c.flat().items():
        assert complete[name] == value
        assert isinstance(value, kind_of(name))


@settings(deadline=None)
@given(configurations())
def test_a_setting_as_text_means_the_same(c: TrialConfig) -> None:
    def as_text(value: object) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    read = dict(parse_setting(f"{name}={as_text(value)}") for name, value in c.flat().items())
    assert TrialConfig.from_flat(read) == c


def test_known_names_are_unique_and_kinds_are_plain() -> None:
    names = known_names()
    assert len(names) == len(set(names))
    assert {"seed", "task.name", "task.length", "clip.threshold", "train.lr"} <= set(names)
    for name in [*names, *GROUPS]:
        assert kind_of(name) in (int, float, bool, str)
        check_name(name)


def test_two_choices_of_a_group_agree_on_a_shared_parameters_type() -> None:
    # kind_of looks at the first that has it.
    for group, choices in GROUPS.items():
        kinds: dict[str, set[Any]] = {}
        for _, cls in choices.items():
            for field in cls.parameters():
                annotation = cls.model_fields[field].annotation
                kind = str if get_origin(annotation) is Literal else annotation
                kinds.setdefault(field, set()).add(kind)
        assert all(len(found) == 1 for found in kinds.values()), group


@each(
    ("flat", "fragment"),
    [
        ({"modl.cell": "lstm"}, "did you mean 'model.cell'"),
        ({"lr": 0.1}, "no parameter named 'lr'"),
        ({"train": 5}, "no parameter named 'train'"),
        ({"": 5}, "no parameter"),
        ({"train.": 5}, "no parameter"),
        ({"train.lr.x": 5}, "no parameter named 'train.lr.x'"),
        ({"model.cell": "lstmm"}, "no cell named 'lstmm'; did you mean 'lstm'?"),
        ({"model.cell": 3}, "no cell named '3'"),
        ({"model.phi": "thanh"}, "did you mean 'tanh'"),
        ({"task": "addding"}, "no task named 'addding'; did you mean 'adding'?"),
        ({"task.name": "copy", "task.solved_below": 0.1}, "has no parameter 'solved_below'"),
        ({"task.length": 1}, "length"),
        ({"task.length": "long"}, "length"),
        ({"task.length": 10.5}, "length"),
        ({"clip": "nrom"}, "did you mean 'norm'"),
        ({"clip": "none", "clip.threshold": 1.0}, "has no parameter 'threshold'"),
        ({"clip.threshold": -1.0}, "greater than 0 (got -1.0)"),
        ({"clip.threshold": float("nan")}, "threshold"),
        ({"init.recurrent": "identity"}, "does not suit lstm"),
        ({"init.bias": "forget", "model.cell": "elman"}, "no forget gate"),
        ({"init.input": "orthogonal"}, "no initializer"),
        ({"init.bias": "chrono", "model.cell": "elman"}, "does not suit elman"),
        ({"init.bias": "chrono", "init.bias.t_max": 2}, "t_min must be below t_max (got 2 and 2)"),
        ({"init.vector": "lru-ring"}, "does not suit lstm: lstm has no p_nu"),
        ({"init.vector": "lru-rin"}, "did you mean 'lru-ring'?"),
        ({"train.lr": 0}, "greater than 0"),
        ({"train.lr": float("inf")}, "train.lr"),
        ({"train.lr": "fast"}, "train.lr"),
        ({"train.lr": "0.01"}, "train.lr"),
        ({"train.lr": True}, "train.lr"),
        ({"train.steps": "100"}, "train.steps"),
        ({"train.steps": True}, "train.steps"),
        ({"train.steps": 0}, "train.steps"),
        ({"train.batch": -4}, "train.batch"),
        ({"train.momentum": 1.0, "train.optimizer": "sgd"}, "momentum"),
        (
            {"train.momentum": 0.5},
            "momentum is a parameter of sgd, nesterov and rmsprop, not of adam",
        ),
        ({"train.alpha": 0.5, "train.optimizer": "sgd"}, "alpha is a parameter of rmsprop"),
        ({"train.alpha": 1.0, "train.optimizer": "rmsprop"}, "alpha"),
        ({"regularizer": "pascanu", "model.cell": "indrnn"}, "no matrix carries its state"),
        ({"train.optimizer": "adamw"}, "'adam', 'sgd', 'nesterov', 'rmsprop' or 'guess'"),
        ({"model.hidden": 0}, "model.hidden"),
        ({"model.hidden": 10**9}, "model.hidden"),
        ({"model.layers": 0}, "model.layers"),
        ({"model.layers": 17}, "model.layers"),
        ({"model.residual": True}, "residual is of the layers above the first"),
        ({"model.layers": 2, "regularizer": "pascanu"}, "one layer in one direction"),
        ({"model.bidirectional": True, "regularizer": "pascanu"}, "one layer in one direction"),
        (
            {"model.layers": 2, "credit": "rtrl", "clip": "none", "model.hidden": 4},
            "'rtrl' gives no gradient of a layer's input",
        ),
        ({"seed": -1}, "seed"),
        ({"seed": "one"}, "seed"),
        ({"task.name": "digits", "task.permuted": 3}, "permuted"),
        ({"task.name": ["adding"]}, "no task named"),
        ({"task": "adding", "task.name": "copy"}, "twice"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_wrong(flat: dict[str, Any], fragment: str) -> None:
    with pytest.raises(UserError) as refusal:
        TrialConfig.from_flat(flat)
    text = str(refusal.value)
    assert fragment in text
    assert "\n" not in text
    assert "pydantic" not in text.lower()


@pytest.mark.parametrize(
    "text", ["train.lr", "=0.1", "", "   =3", "train.lr 0.1", "nonsense=1", "train lr=1"]
)
def test_bad_settings_are_refused(text: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_setting(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.lr=0.01", ("train.lr", 0.01)),
        (" train.lr = 1e-3 ", ("train.lr", 1e-3)),
        ("train.steps=100", ("train.steps", 100)),
        ("task.permuted=true", ("task.permuted", True)),
        ("task.permuted=false", ("task.permuted", False)),
        ("model.cell=lstm", ("model.cell", "lstm")),
        ("model.cell=a=b", ("model.cell", "a=b")),
        ("task.word=11", ("task.word", "11")),
        ("task.path=1e3", ("task.path", "1e3")),
        ("task.path= a b ", ("task.path", "a b")),
        ("task.label=true", ("task.label", "true")),
        ("task.text=", ("task.text", "")),
        ("task=1", ("task", "1")),
    ],
)
def test_settings_are_read_as_toml_has_them(text: str, expected: tuple[str, Any]) -> None:
    name, value = parse_setting(text)
    assert (name, value) == expected
    assert type(value) is type(expected[1])


def test_a_word_of_digits_is_a_word() -> None:
    given = dict([parse_setting("task=hello"), parse_setting("task.word=1121")])
    assert TrialConfig.from_flat(given).flat()["task.word"] == "1121"


def test_merging_another_choice_drops_the_old_ones_parameters() -> None:
    base = TrialConfig.from_flat({"clip": "value", "clip.threshold": 3.0}).flat()
    assert TrialConfig.from_flat(merge(base, {"clip": "none"})).clip.name == "none"
    kept = TrialConfig.from_flat(merge(base, {"clip": "value"}))
    assert kept.flat()["clip.threshold"] == 3.0
    changed = TrialConfig.from_flat(merge(base, {"clip.threshold": 2.0}))
    assert changed.flat()["clip.name"] == "value"
    with_name = merge(base, {"clip.name": "norm", "clip.threshold": 7.0})
    assert TrialConfig.from_flat(with_name).flat()["clip.threshold"] == 7.0


def test_a_group_given_by_a_parameter_alone_is_the_default_choice() -> None:
    c = TrialConfig.from_flat({"clip.threshold": 2.0, "task.length": 7})
    assert (c.clip.name, c.task.name) == (TrialConfig().clip.name, TrialConfig().task.name)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"[train\nlr = 1", "not valid TOML"),
        (b"lr = \xff\xfe", "cannot read"),
        (b"[train]\nlr = 0.1\nlr = 0.2", "not valid TOML"),
        (b"[train]\nlr = [0.1, 0.2]", "train.lr"),
        (b"[[train]]\nlr = 0.1", "train"),
        (b"train = 3", "train"),
        (b"[train]\nlr = 2020-01-01", "train.lr"),
        (b"seed = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "deep in one another"),
        (b'"a\\nb" = 1', "no parameter"),
        (b"\x00", "not valid TOML"),
        (b"seed = {}", "seed is an empty table; give a value"),
        (b"[train.lr]", "train.lr is an empty table; give a value"),
        (b"task = {}", "task is an empty table; give a name"),
        (b"[init.bias]", "init.bias is an empty table; give a name"),
        (b"[nothing]", "no parameter named 'nothing'"),
        (
            b"clip = 'none'\n'clip.name' = 'norm'",
            'clip.name is set twice, as clip and as "clip.name"',
        ),
        (b"[clip]\nname = 'none'\n[x]", "no parameter named 'x'"),
        (b"train.lr = 1.0\n'train.lr' = 2.0", 'set twice, as train.lr and as "train.lr"'),
        (b"'train.lr' = 1.0\ntrain = {'lr' = 2.0}", "set twice"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: bytes, fragment: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refusal:
        TrialConfig.from_file(path)
    assert fragment in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        TrialConfig.from_file(tmp_path / "none.toml")
    with pytest.raises(UserError, match="cannot read"):
        TrialConfig.from_file(tmp_path)


def test_a_toml_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("seed = 1\n\n[train\n")
    with pytest.raises(UserError, match=r"c\.toml.*line 3"):
        read_toml(path)


toml_values = st.recursive(
    st.one_of(
        st.integers(-(10**20), 10**20),
        st.floats(),
        st.booleans(),
        st.text(max_size=8),
        st.dates(),
        st.sampled_from(["lstm", "adding", "none", "identity"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["name", "lr", "threshold"]), st.text(max_size=6)),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
sections = st.sampled_from(["train", "model", "task", "clip", "init", "seed", "recurrent", "x"])


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(sections, toml_values, max_size=4))
def test_whatever_a_file_holds_only_a_user_error_comes_out(tables: dict[str, Any]) -> None:
    try:
        TrialConfig.from_flat(flatten(tables))
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
    try:
        TrialConfig.from_nested(tables)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017


strings = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=20)


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), strings, max_size=4))
def test_any_string_survives_a_toml_file(table: dict[str, str]) -> None:
    assert tomllib.loads(write_toml(table)) == table
