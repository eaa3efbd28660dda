"""Search spaces: what a good file means, and that a bad one is answered in one line."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_files import MAKERS

from study.base.errors import MissingFiles, UserError
from study.spaces import file as space_file
from study.spaces import index as space_index
from study.spaces.space import (
    Searched,
    Space,
    check_files,
    check_unchanged,
    identity,
    planned_trials,
)
from study.trial.config import TrialConfig, known_names


def load(text: str, tmp_path: Path, **overrides: Any) -> Space:
    path = tmp_path / "space.toml"
    path.write_text(text)
    return space_file.load(path, **overrides)


GOOD = """
[study]
name = "good"
question = "Which?"
trials = 4

[fixed]
model.hidden = 4
clip = { name = "norm", threshold = 1.0 }

[compare.network]
tanh = { model.cell = "elman" }
irnn = { model.cell = "elman", model.phi = "relu", init.recurrent = "identity" }
lstm = { model.cell = "lstm", init.bias = { name = "forget", value = 1.0 } }

[compare]
task.length = [5, 10]

[search]
train.lr = { low = 0.001, high = 0.1, log = true }
train.batch = [4, 8]
init.bias.value = { low = 0.0, high = 5.0, when = { model.cell = "lstm" } }
"""
GOOD = GOOD.replace('init.bias = { name = "forget", value = 1.0 } }', 'init.bias.name = "forget" }')


# What a good file means


def test_arms_are_every_combination(tmp_path: Path) -> None:
    space = load(GOOD, tmp_path)
    assert space.name == "good"
    expected = set(itertools.product(("tanh", "irnn", "lstm"), ("5", "10")))
    assert {tuple(arm.labels.values()) for arm in space.arms()} == expected
    assert len({arm.slug for arm in space.arms()}) == 6
    for arm in space.arms():
        config = TrialConfig.from_flat(arm.settings)
        assert config.model.hidden == 4
        assert str(config.flat()["task.length"]) == arm.labels["task.length"]
        assert (config.model.cell == "lstm") == (arm.labels["network"] == "lstm")
        assert config.model.phi == ("relu" if arm.labels["network"] == "irnn" else "tanh")
    assert planned_trials(space) == 4


def test_overrides_replace_what_the_study_says(tmp_path: Path) -> None:
    space = load(GOOD, tmp_path, trials=9, seed=None, name="other")
    assert (space.trials, space.name) == (9, "other")
    assert space.seed == load(GOOD, tmp_path, name="other").seed != load(GOOD, tmp_path).seed
    assert load(GOOD, tmp_path, seed=0, name="other").seed == 0


def test_settings_join_and_replace_what_is_fixed(tmp_path: Path) -> None:
    chosen = {"clip.threshold": 2.0, "task": "copy", "train.steps": 7}
    space = load(GOOD, tmp_path, settings=chosen)
    as_if_written = GOOD.replace("threshold = 1.0", "threshold = 2.0").replace(
        "[fixed]", '[fixed]\ntask.name = "copy"\ntrain.steps = 7'
    )
    assert space == load(as_if_written, tmp_path)
    assert space != load(GOOD, tmp_path)
    assert load(GOOD, tmp_path, settings={}) == load(GOOD, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "fragment"),
    [
        ("train.lr", 0.1, "train.lr is set in --set and in [search]"),
        ("task.length", 5, "task.length is set in --set and in [compare] task.length"),
        ("clip.treshold", 5.0, "did you mean 'clip.threshold'"),
        ("model.hidden", 0, "model.hidden"),
        ("seed", 1, "--seed"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    name: str, value: float, fragment: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(fragment)):
        load(GOOD, tmp_path, settings={name: value})


def test_a_space_whose_files_are_missing_is_read_but_not_swept(tmp_path: Path) -> None:
    text = GOOD.replace("task.length = [5, 10]", 'task.name = ["adding", "music"]')
    space = load(text, tmp_path)
    assert len(space.arms()) == 6
    with pytest.raises(MissingFiles, match="task 'music' needs"):
        check_files(space)
    check_files(load(GOOD, tmp_path))
    with pytest.raises(UserError, match=r"model\.hidden"):  # what else is wrong is told
        load(text.replace("hidden = 4", "hidden = 0"), tmp_path)


def test_an_empty_section_and_a_label_of_defaults_say_nothing(tmp_path: Path) -> None:
    text = "[fixed.train]\n[fixed.init]\n[search.model]\n[study]\n"
    assert load(text, tmp_path) == load("[study]\n", tmp_path)
    space = load("[compare.n]\nplain = {}\nwide = { model.hidden = 99 }", tmp_path)
    assert [dict(arm.settings) for arm in space.arms()] == [{}, {"model.hidden": 99}]


def test_a_space_without_comparison_is_one_arm(tmp_path: Path) -> None:
    (arm,) = load("[fixed]\nmodel.hidden = 3\n", tmp_path).arms()
    assert arm.slug
    assert arm.labels == {}


def test_the_name_defaults_to_the_files(tmp_path: Path) -> None:
    assert load("[study]\n", tmp_path).name == "space"


def test_conditions_look_at_defaults_too(tmp_path: Path) -> None:
    text = '[search]\ntrain.lr = { low = 0.1, high = 0.2, when = { model.cell = "lstm" } }'
    assert load(text, tmp_path).search["train.lr"].when == {"model.cell": ("lstm",)}


def test_a_searched_choice_switches_its_parameter(tmp_path: Path) -> None:
    text = """
[search]
clip = ["none", "norm"]
clip.threshold = [0.5, 2.0]
"""
    with pytest.raises(UserError):  # none has no threshold
        load(text.replace("clip = ", "clip.name = "), tmp_path)
    text = """
[study]
sampler = "grid"
[search]
clip.name = ["none", "norm"]
clip.threshold = { values = [0.5, 2.0], when = { clip = "norm" } }
"""
    space = load(text, tmp_path)
    (arm,) = space.arms()
    grid = space.grid(arm)
    assert grid == [
        {"clip.name": "none"},
        {"clip.name": "norm", "clip.threshold": 0.5},
        {"clip.name": "norm", "clip.threshold": 2.0},
    ]
    assert planned_trials(space) == 3
    for point in grid:
        TrialConfig.from_flat(arm.settings | point)


def test_a_grid_is_exhaustive_and_equal_over_arms(tmp_path: Path) -> None:
    text = """
[study]
sampler = "grid"
[compare]
model.cell = ["lstm", "gru"]
[search]
train.lr = [0.1, 0.01, 0.001]
train.batch = [2, 4]
"""
    space = load(text, tmp_path)
    for arm in space.arms():
        points = {(g["train.lr"], g["train.batch"]) for g in space.grid(arm)}
        assert points == set(itertools.product((0.1, 0.01, 0.001), (2, 4)))
        assert len(space.grid(arm)) == planned_trials(space) == 6


@pytest.mark.parametrize("given", ['"default, writing"', '["default", "writing"]'])
def test_a_studys_probes_are_those_of_every_arm(given: str, tmp_path: Path) -> None:
    plain = load(GOOD, tmp_path)
    space = load(GOOD.replace("trials = 4", f"trials = 4\nprobes = {given}"), tmp_path)
    for arm, before in zip(space.arms(), plain.arms(), strict=True):
        assert arm.settings.pop("train.probes").replace(" ", "") == "default,writing"
        assert arm == before
    # They change nothing that is learned: a study may go on with others.
    check_unchanged(space, identity(plain))


@pytest.mark.parametrize(
    ("probes", "more", "message"),
    [
        ('"gradient_flo"', "", "train.probes: no probe named 'gradient_flo'; did you mean"),
        ("[]", "", "[study] probes"),
        ("3", "", "[study] probes"),
        ('"all"', "[search]\ntrain.probes = ['all', 'none']", "[study] probes and in [search]"),
        ('"all"', "[fixed]\ntrain.probes = 'none'", "[study] probes and in [fixed]"),
    ],
)
def test_probes_that_cannot_be(probes: str, more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="probes") as told:
        load(f"[study]\nprobes = {probes}\n{more}", tmp_path)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_described_is_json_and_changes_with_the_space(tmp_path: Path) -> None:
    one = load(GOOD, tmp_path)
    assert json.loads(json.dumps(one.described())) == one.described()
    assert load(GOOD, tmp_path).described() == one.described()
    assert load(GOOD.replace("0.001", "0.002"), tmp_path).described() != one.described()


@pytest.mark.parametrize("name", list(space_index.available()))
def test_every_packaged_space_is_valid(name: str, tmp_path: Path) -> None:
    space = space_file.load(space_index.find(name))
    if (task := space.fixed.get("task.name")) in MAKERS:
        files = {f"task.{key}": value for key, value in MAKERS[task](tmp_path).items()}
        space = space_file.load(space_index.find(name), files)
    assert space.name == name
    assert space.question
    for arm in space.arms():
        TrialConfig.from_flat(arm.settings)


def test_spaces_are_found_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "mine.toml").write_text(GOOD)
    (tmp_path / "search_spaces" / "quickstart.toml").write_text(GOOD)
    assert space_index.find("mine").parent == tmp_path / "search_spaces"
    assert space_index.find("quickstart").parent == tmp_path / "search_spaces"
    assert space_index.find("search_spaces/mine.toml").is_file()


def test_a_condition_that_some_arms_meet_is_searched_in_those(tmp_path: Path) -> None:
    space = load(GOOD, tmp_path)
    searched = space.search["init.bias.value"]
    assert searched.active({"model.cell": "lstm"})
    assert not searched.active({"model.cell": "elman"})
    assert not searched.active({})
    assert Searched(low=0, high=1, when={"a": (1, 2), "b": ("x",)}).active({"a": 2, "b": "x"})


OWN = GOOD.replace(
    'irnn = { model.cell = "elman", ',
    'irnn = { train.lr = { low = 0.00001, high = 0.001, log = true }, model.cell = "elman", ',
)


def test_an_arm_may_search_a_range_of_its_own(tmp_path: Path) -> None:
    space = load(OWN, tmp_path)
    lows = {arm.slug: space.searched(arm)["train.lr"].low for arm in space.arms()}
    assert {low for slug, low in lows.items() if slug.startswith("irnn")} == {0.00001}
    assert {low for slug, low in lows.items() if not slug.startswith("irnn")} == {0.001}
    assert all(list(space.searched(arm)) == list(space.search) for arm in space.arms())
    irnn = next(arm for arm in space.arms() if arm.slug.startswith("irnn"))
    assert "train.lr" not in irnn.settings
    assert space.example(irnn)["train.lr"] == 0.00001
    assert Space.model_validate_json(json.dumps(space.described())) == space


def test_a_range_of_its_own_keeps_the_condition_and_the_others_range(tmp_path: Path) -> None:
    text = GOOD.replace(
        'init.bias.name = "forget" }',
        'init.bias = { name = "forget", value = { low = 1.0, high = 2.0 } } }',
    )
    space = load(text, tmp_path)
    lstm = next(arm for arm in space.arms() if arm.slug.startswith("lstm"))
    searched = space.searched(lstm)["init.bias.value"]
    assert (searched.low, searched.when) == (1.0, {"model.cell": ("lstm",)})


def test_a_study_without_ranges_of_its_own_is_what_it_was(tmp_path: Path) -> None:
    """So that the journals of earlier versions go on; and an arm with one may be added later."""
    before = load(GOOD, tmp_path)
    assert "ranges" not in before.described()
    now = load(OWN, tmp_path)
    with pytest.raises(UserError, match="ranges"):
        check_unchanged(now, identity(before))
    fourth = 'own = { model.cell = "gru", train.lr = { low = 0.01, high = 0.1 } }'
    added = load(GOOD.replace("[compare]", f"{fourth}\n\n[compare]", 1), tmp_path)
    check_unchanged(added, identity(before))


def test_a_grid_has_the_values_of_the_arm(tmp_path: Path) -> None:
    text = """
[study]
sampler = "grid"

[compare.network]
a = { model.cell = "elman" }
b = { model.cell = "lstm", train.lr = { values = [0.5, 0.25] } }

[search]
train.lr = [0.1, 0.2]
"""
    space = load(text, tmp_path)
    a, b = space.arms()
    assert [s["train.lr"] for s in space.grid(a)] == [0.1, 0.2]
    assert [s["train.lr"] for s in space.grid(b)] == [0.5, 0.25]


LE = """
[[baseline]]
source = "Le et al. (2015)"
where = { network = "irnn" }
train.lr = 0.01
"""


def test_a_baseline_is_of_the_arms_it_names(tmp_path: Path) -> None:
    space = load(GOOD + LE, tmp_path)
    told = {arm.slug: [b.source for b in space.baselines_of(arm)] for arm in space.arms()}
    assert {slug for slug, sources in told.items() if sources} == {"irnn,5", "irnn,10"}
    assert Space.model_validate_json(json.dumps(space.described())) == space
    everywhere = load(GOOD + LE.replace('where = { network = "irnn" }', ""), tmp_path)
    assert all(everywhere.baselines_of(arm) for arm in everywhere.arms())


def test_a_baseline_changes_a_study_and_comes_with_an_arm(tmp_path: Path) -> None:
    before = load(GOOD, tmp_path)
    assert "baselines" not in before.described()
    with pytest.raises(UserError, match="baselines"):
        check_unchanged(load(GOOD + LE, tmp_path), identity(before))
    added = GOOD.replace("[compare]", 'own = { model.cell = "gru" }\n\n[compare]', 1)
    check_unchanged(load(added + LE.replace("irnn", "own"), tmp_path), identity(before))


# What a bad file is told

BAD = {
    "unknown section": ("[serach]\nx = 1", "did you mean 'search'"),
    "section is no table": ("search = 3", "must be a table"),
    "section is an array": ("[[search]]\ntrain.lr = [1]", "must be a table"),
    "unknown study key": ("[study]\ntirals = 3", "did you mean 'trials'"),
    "study key of a section": ("[study]\nfixed = 3", "[study]"),
    "trials is text": ('[study]\ntrials = "4"', "trials"),
    "trials is a fraction": ("[study]\ntrials = 4.5", "trials"),
    "trials is true": ("[study]\ntrials = true", "trials"),
    "no trials": ("[study]\ntrials = 0", "trials"),
    "absurd trials": ("[study]\ntrials = 10000000000", "trials"),
    "confirmations below 0": ("[study]\nconfirmations = -1", "confirmations"),
    "unknown sampler": ('[study]\nsampler = "rnadom"', "sampler"),
    "unknown pruner": ('[study]\npruner = "axe"', "pruner"),
    "name with slash": ('[study]\nname = "a/b"', "name"),
    "name with dots": ('[study]\nname = ".."', "name"),
    "name with a space": ('[study]\nname = "a b"', "name"),
    "name with a line break": ('[study]\nname = "a\\n"', "name"),
    "empty name": ('[study]\nname = ""', "name"),
    "long name": (f'[study]\nname = "{"a" * 65}"', "name"),
    "name is a number": ("[study]\nname = 5", "name"),
    "reserved name": ('[study]\nname = "train"', "longlag train"),
    "seed below 0": ("[study]\nseed = -1", "seed"),
    "unknown fixed": ("[fixed]\ntrain.learning_rate = 1", "no parameter named"),
    "misspelt fixed": ("[fixed]\nmodel.hiden = 1", "did you mean 'model.hidden'"),
    "fixed is a list": ("[fixed]\nmodel.hidden = [1, 2]", "single value"),
    "fixed of wrong type": ('[fixed]\nmodel.hidden = "many"', "model.hidden"),
    "number as text": ('[fixed]\ntrain.lr = "0.01"', "train.lr"),
    "fixed is a date": ("[fixed]\nmodel.hidden = 2020-01-01", "model.hidden"),
    "fixed out of bounds": ("[fixed]\nmodel.hidden = 0", "model.hidden"),
    "absurd fixed": ("[fixed]\nmodel.hidden = 1000000000000", "model.hidden"),
    "unknown cell": ('[fixed]\nmodel.cell = "lstmm"', "did you mean 'lstm'"),
    "parameter of another choice": ('[fixed]\nclip = "none"\nclip.threshold = 1.0', "TOML"),
    "parameter another choice has": (
        '[fixed]\nclip.name = "none"\nclip.threshold = 1.0',
        "no parameter 'threshold'",
    ),
    "low above high": ("[search]\ntrain.lr = { low = 1.0, high = 0.1 }", "low must be below high"),
    "low is high": ("[search]\ntrain.lr = { low = 1.0, high = 1.0 }", "low must be below high"),
    "low alone": ("[search]\ntrain.lr = { low = 1.0 }", "needs low and high"),
    "nothing": ("[search]\ntrain.lr = {}", "needs low and high"),
    "log from zero": (
        "[search]\ninit.bias.value = { low = 0.0, high = 1.0, log = true, "
        'when = { init.bias.name = "forget" } }',
        "low must be above 0",
    ),
    "log below zero": ("[search]\ntrain.lr = { low = -1.0, high = 1.0, log = true }", "above 0"),
    "low out of bounds": ("[search]\ntrain.lr = { low = -1.0, high = 1.0 }", "greater than 0"),
    "high out of bounds": ("[search]\nmodel.hidden = { low = 1, high = 1000000 }", "model.hidden"),
    "low is text": ('[search]\ntrain.lr = { low = "0.1", high = 1.0 }', "low"),
    "low is true": ("[search]\ntrain.batch = { low = true, high = 5 }", "low"),
    "log is text": ('[search]\ntrain.lr = { low = 0.1, high = 1.0, log = "yes" }', "log"),
    "low is infinite": ("[search]\ntrain.lr = { low = -inf, high = 1.0 }", "low"),
    "high is not a number": ("[search]\ntrain.lr = { low = 0.1, high = nan }", "high"),
    "low beyond floats": (
        f"[search]\ntrain.lr = {{ low = 1, high = 1{'0' * 400} }}",
        "train.lr",
    ),
    "integer beyond floats": (
        f"[search]\ntrain.steps = {{ low = 1, high = 1{'0' * 400} }}",
        "train.steps",
    ),
    "whole numbers": ("[search]\nmodel.hidden = { low = 1.5, high = 4 }", "whole numbers"),
    "range and values": ("[search]\ntrain.lr = { low = 0.1, values = [1.0] }", "has values"),
    "unknown range key": ("[search]\ntrain.lr = { low = 0.1, hihg = 1.0 }", "did you mean 'high'"),
    "range of names": ("[search]\nmodel.cell = { low = 1, high = 2 }", "not a number"),
    "no values": ("[search]\ntrain.lr = []", "no values"),
    "value twice": ("[search]\ntrain.lr = [0.1, 0.1]", "value twice"),
    "value of wrong type": ('[search]\ntrain.lr = [0.1, "fast"]', "train.lr"),
    "bad value": ('[search]\nmodel.cell = ["lstm", "gruu"]', "did you mean 'gru"),
    "value is a list": ("[search]\ntrain.lr = [[0.1]]", "train.lr"),
    "scalar search": ("[search]\ntrain.lr = 0.1", "list of values"),
    "unknown searched": ("[search]\ntrain.lrr = [0.1]", "did you mean 'train.lr'"),
    "unknown searched section": ("[search]\nlr = [0.1]", "no parameter"),
    "when is no table": ('[search]\ntrain.lr = { values = [1.0], when = "lstm" }', "when"),
    "when of an unknown name": (
        "[search]\ntrain.lr = { values = [1.0], when = { cell = 1 } }",
        "no parameter named 'cell'",
    ),
    "when never active": (
        '[search]\ntrain.lr = { values = [1.0], when = { model.cell = "gru" } }',
        "never active",
    ),
    "when of a misspelt value": (
        '[search]\ntrain.lr = { values = [1.0], when = { model.cell = "lstmm" } }',
        "never active",
    ),
    "a range of an arm's own alone": (
        "[compare.a]\nx = { train.lr = { low = 0.1, high = 0.2 } }",
        "[search] has none",
    ),
    "a range of an arm's own with a condition": (
        "[search]\ntrain.lr = [0.1]\n[compare.a]\n"
        'x = { train.lr = { values = [0.2], when = { model.cell = "lstm" } } }',
        "when belongs to train.lr in [search]",
    ),
    "a range of an arm's own that cannot be": (
        "[search]\ntrain.lr = [0.1]\n[compare.a]\nx = { train.lr = { low = 0.2, high = 0.1 } }",
        "[compare.a] x train.lr: low must be below high",
    ),
    "a value of an arm's own that cannot be": (
        "[search]\ntrain.lr = [0.1]\n[compare.a]\nx = { train.lr = { values = [-1.0] } }",
        "train.lr",
    ),
    "ranges of two axes": (
        "[search]\ntrain.lr = [0.1]\n[compare.a]\nx = { train.lr = { values = [0.2] } }\n"
        "[compare.b]\ny = { train.lr = { values = [0.3] } }",
        "[compare.a] too",
    ),
    "baseline is no list": ("[baseline]\ntrain.lr = 0.1", "[[baseline]]"),
    "baseline without a source": ("[[baseline]]\ntrain.lr = 0.1", "needs its source"),
    "baseline of nothing": ('[[baseline]]\nsource = "x"', "sets nothing"),
    "baseline of what is not searched": (
        '[[baseline]]\nsource = "x"\ntrain.lr = 0.1',
        "train.lr is not in [search]",
    ),
    "baseline out of the range": (
        '[search]\ntrain.lr = { low = 0.1, high = 0.2 }\n[[baseline]]\nsource = "x"\ntrain.lr = 0.3',
        "outside of what [search] has",
    ),
    "baseline of a misspelt label": (
        '[search]\ntrain.lr = [0.1]\n[compare]\nmodel.hidden = [4, 5]\n[[baseline]]\nsource = "x"\n'
        'where = { model.hidden = "6" }\ntrain.lr = 0.1',
        "where",
    ),
    "baseline of a misspelt axis": (
        '[search]\ntrain.lr = [0.1]\n[[baseline]]\nsource = "x"\nwhere = { nett = "6" }\ntrain.lr = 0.1',
        "nett",
    ),
    "more baselines than trials": (
        "[study]\ntrials = 1\n[search]\ntrain.lr = [0.1]\n"
        + '[[baseline]]\nsource = "x"\ntrain.lr = 0.1\n' * 2,
        "2 baselines and 1 trials",
    ),
    "baseline that is not active": (
        '[search]\nclip.name = ["none", "norm"]\n'
        'clip.threshold = { low = 1, high = 2, when = { clip.name = "norm" } }\n'
        '[[baseline]]\nsource = "x"\nclip = { name = "none", threshold = 1.5 }',
        "is not active",
    ),
    "set twice, fixed and search": (
        "[fixed]\ntrain.lr = 0.1\n[search]\ntrain.lr = [1.0]",
        "one place only",
    ),
    "set twice, fixed and compare": (
        "[fixed]\ntrain.lr = 0.1\n[compare]\ntrain.lr = [1.0]",
        "one place only",
    ),
    "set twice, two axes": (
        "[compare.a]\nx = { train.lr = 0.1 }\n[compare.b]\ny = { train.lr = 0.2 }",
        "one place only",
    ),
    "a group and its name": (
        '[fixed]\nclip = "none"\n[search]\nclip.name = ["none", "norm"]',
        "one place only",
    ),
    "a group and its name, compared": (
        '[fixed]\ntask = "adding"\n[compare.task]\na = { task.name = "copy" }',
        "one place only",
    ),
    "empty axis": ("[compare]\ntrain.lr = []", "no values"),
    "empty compared table": ("[compare.network]", "[compare] network"),
    "scalar axis": ("[compare]\ntrain.lr = 0.1", "must be a list"),
    "axis without settings": ("[compare.network]\nlstm = 3", "[compare"),
    "compared value twice": ("[compare]\ntrain.lr = [0.1, 0.1]", "value twice"),
    "unknown axis": ("[compare]\ntrain.lrr = [0.1]", "did you mean 'train.lr'"),
    "unknown compared setting": ("[compare.n]\na = { model.cel = 1 }", "did you mean 'model.cell'"),
    "bad compared value": ('[compare]\nmodel.cell = ["lstm", "gruu"]', "did you mean 'gru"),
    "label with a comma": ('[compare.n]\n"a,b" = { train.lr = 0.1 }', "label"),
    "label with a slash": ('[compare.n]\n"a/b" = { train.lr = 0.1 }', "label"),
    "empty label": ('[compare.n]\n"" = { train.lr = 0.1 }', "label"),
    "long label": (f"[compare.n]\n{'a' * 65} = {{ train.lr = 0.1 }}", "label"),
    "label with a line break": ('[compare.n]\n"a\\nb" = { train.lr = 0.1 }', "label"),
    "axis with a line break": ('[compare]\n"a\\nb" = 3', "[compare]"),
    "unsuitable in one arm": (
        '[fixed]\ninit.recurrent = "identity"\n[compare]\nmodel.cell = ["elman", "lstm"]',
        "does not suit lstm",
    ),
    "unsuitable at one value": (
        '[fixed]\nmodel.cell = "lstm"\n[search]\ninit.recurrent = ["uniform", "identity"]',
        "does not suit lstm",
    ),
    "unsuitable for a combination": (
        '[search]\nmodel.cell = ["elman", "lstm"]\ninit.recurrent = ["uniform", "identity"]',
        "does not suit lstm",
    ),
    "a matrix's initializer where there are four": (
        '[compare]\nmodel.cell = ["elman", "lstm"]\n[search]\n'
        'init.recurrent = ["orthogonal", "np-rnn"]',
        "arm lstm, init.recurrent.name = 'np-rnn': initializer 'np-rnn' does not suit lstm",
    ),
    "chrono without a gate": (
        '[fixed]\ninit.bias = "chrono"\n[compare]\nmodel.cell = ["lstm", "elman"]',
        "does not suit elman",
    ),
    "chrono without a range": (
        '[fixed]\ninit.bias.name = "chrono"\n[search]\ninit.bias.t_min = [2.0, 9.0]\n'
        "init.bias.t_max = { low = 5.0, high = 50.0 }",
        "t_min must be below t_max (got 9 and 5)",
    ),
    "a ring without eigenvalues": ('[fixed]\ninit.vector = "lru-ring"', "does not suit lstm"),
    "grid with a range": (
        '[study]\nsampler = "grid"\n[search]\ntrain.lr = { low = 0.1, high = 1.0 }',
        "needs values",
    ),
    "grid with trials": (
        '[study]\nsampler = "grid"\ntrials = 5\n[search]\ntrain.lr = [0.1, 1.0]',
        "leave out trials",
    ),
    "unequal grid": (
        '[study]\nsampler = "grid"\n[compare]\nmodel.cell = ["lstm", "elman"]\n[search]\n'
        'train.lr = { values = [0.1, 1.0], when = { model.cell = "lstm" } }',
        "equal budgets",
    ),
    "tables of labels in an array": ("[[compare.network]]\nlstm = 1", "[compare"),
    "an empty value": ("[fixed]\nseed = {}", "seed is an empty table; give a value"),
    "an empty group": ("[fixed]\nclip = {}", "clip is an empty table; give a name"),
    "an empty unknown name": ("[fixed]\nmodel.hiden = {}", "did you mean 'model.hidden'"),
    "an empty value in a section": ("[fixed.train]\nlr = {}", "train.lr is an empty table"),
    "an empty value of a label": ("[compare.n]\na = { train.lr = {} }", "empty table"),
    "an empty value in a comparison": (
        "[compare]\ntrain = { lr = [1.0], steps = {} }",
        "train.steps",
    ),
    "an empty group searched": ("[search]\nclip = {}", "clip is an empty table"),
    "an empty table in an empty name": ("[search.init.bias]", "init.bias is an empty table"),
    "an empty searched name": ("[search]\nfoo = {}", "no parameter named 'foo'"),
    "an empty condition": ("[search]\ntrain.lr = { values = [1.0], when = {} }", "when"),
    "an empty value of a condition": (
        "[search]\ntrain.lr = { values = [1.0], when = { model.cell = {} } }",
        "model.cell is an empty table",
    ),
    "a group fixed in two spellings": (
        '[fixed]\nclip = "none"\n"clip.name" = "norm"',
        'clip.name is set twice, as clip and as "clip.name"',
    ),
    "a setting fixed in two spellings": (
        '[fixed]\ntrain.lr = 0.1\n"train.lr" = 0.2',
        'train.lr is set twice, as train.lr and as "train.lr"',
    ),
    "a label's setting in two spellings": (
        '[compare.n]\na = { train.lr = 0.1, "train.lr" = 0.2 }',
        "train.lr is set twice",
    ),
    "a group searched in two spellings": (
        '[search]\nclip = ["none"]\n"clip.name" = ["norm"]',
        'clip.name is there twice, as clip and as "clip.name"',
    ),
    "a setting searched in two spellings": (
        '[search]\ntrain.lr = [0.1]\n"train.lr" = [0.2]',
        'train.lr is there twice, as train.lr and as "train.lr"',
    ),
    "an axis in two spellings": (
        '[compare]\ntrain.lr = [0.1]\n"train.lr" = [0.2]',
        "train.lr is there twice",
    ),
    "a condition in two spellings": (
        '[search.train.lr]\nvalues = [1.0]\nwhen = { clip = "norm", "clip.name" = "none" }',
        "clip.name is set twice",
    ),
    "a value twice, as a fraction too": ("[compare]\ntrain.lr = [1, 1.0]", "value twice"),
    "a compared value is a list": ("[compare]\ntrain.lr = [[1.0]]", "single value"),
    "a compared value is a date": ("[compare]\ntrain.lr = [2020-01-01]", "single value"),
    "a seed beyond 64 bits": (f"[study]\nseed = {2**70}", "seed"),
    "a searched number that no computer has": ("[search]\ntrain.lr = [0.1, 1e39]", "at most 1e+30"),
    "a searched batch that no memory has": ("[search]\ntrain.batch = [4, 1000000000]", "65536"),
    "not toml": ("[study\nname = 1", "line 1"),
    "key twice": ("[study]\ntrials = 1\ntrials = 2", "not valid TOML"),
}


@pytest.mark.parametrize(("text", "fragment"), BAD.values(), ids=BAD)
def test_a_bad_space_is_answered_in_one_line(text: str, fragment: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        load(text, tmp_path)
    message = str(refusal.value)
    assert fragment in message
    assert "space.toml" in message
    assert "\n" not in message
    assert "pydantic" not in message.lower()
    assert len(message) < 1500


def test_a_size_that_no_grid_can_have_is_refused_and_not_computed(tmp_path: Path) -> None:
    values = list(range(1, 101))
    names = ["model.hidden", "train.batch", "train.steps", "train.evaluate_every", "task.length"]
    lines = "\n".join(f"{name} = {[v + 1 for v in values]}" for name in names)
    with pytest.raises(UserError, match="grid"):  # 10^10 trials
        load(f'[study]\nsampler = "grid"\n[search]\n{lines}', tmp_path)


def test_more_arms_than_anyone_can_run_are_refused(tmp_path: Path) -> None:
    names = ["model.hidden", "train.batch", "train.steps", "train.evaluate_every", "task.length"]
    lines = "\n".join(f"{name} = {list(range(2, 102))}" for name in names)
    with pytest.raises(UserError, match="arms"):
        load(f"[compare]\n{lines}", tmp_path)


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_bytes(b"\xff\xfe[study]")
    with pytest.raises(UserError, match="cannot read"):
        space_file.load(path)
    with pytest.raises(UserError, match="cannot read"):
        space_file.load(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UserError, match=r"folder\.toml"):
        space_index.find(str(tmp_path / "folder.toml"))


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("quikstart", "did you mean 'quickstart'"),
        ("nothing.toml", "no such file"),
        ("../quickstart", "letters, digits"),
        ("..", "is a folder"),
        ("", "letters, digits"),
        ("a" * 5000, "at most 64"),
        ("a\0b", "letters, digits"),
        ("a\nb", "letters, digits"),
    ],
)
def test_a_space_that_does_not_exist(name: str, fragment: str) -> None:
    with pytest.raises(UserError, match=fragment) as refusal:
        space_index.find(name)
    assert "\n" not in str(refusal.value)


def test_a_bad_override_is_refused(tmp_path: Path) -> None:
    for overrides in ({"trials": 0}, {"seed": -1}, {"name": "../x"}, {"name": "train"}):
        with pytest.raises(UserError):
            load(GOOD, tmp_path, **overrides)


# Anything at all

names = st.one_of(
    st.sampled_from(
        [*known_names(), "train", "model", "clip", "init", "low", "high", "log", "values", "when"]
    ),
    st.text(max_size=5),
)
scalars = st.one_of(
    st.integers(),
    st.integers(-3, 10),
    st.just(10**400),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.dates(),
    st.sampled_from(["lstm", "gru", "adding", "copy", "none", "norm", "grid", "random"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)
ranges = st.fixed_dictionaries({"low": scalars, "high": scalars}, optional={"log": scalars})
files = st.fixed_dictionaries(
    {},
    optional={
        "study": st.dictionaries(
            st.sampled_from(["name", "trials", "seed", "sampler", "pruner", "confirmations"]),
            values,
            max_size=2,
        ),
        "fixed": st.dictionaries(names, values, max_size=2),
        "compare": st.dictionaries(names, values, max_size=2),
        "search": st.dictionaries(names, st.one_of(values, ranges), max_size=2),
    },
)


@settings(deadline=None, max_examples=400)
@given(files)
def test_whatever_a_file_holds_it_is_a_space_or_a_user_error(tables: dict[str, Any]) -> None:
    try:
        space = space_file._build(tables, "stem", {})
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        for arm in space.arms():
            TrialConfig.from_flat(space.example(arm))
