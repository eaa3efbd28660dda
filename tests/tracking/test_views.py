"""The views in the MLflow UI. What the UI makes of them can only be seen in a browser."""

import json
import re

import pytest

from study.spaces.file import load
from study.spaces.index import available
from study.spaces.space import Space
from study.tracking import ui_pages
from study.tracking.messages import message
from study.tracking.notes import arm_note, experiment_note
from study.tracking.server import front, view_links
from study.tracking.store import Store
from study.tracking.trial_record import TrialRecord
from study.tracking.view_state import _GENERATED, _color_of_group, folded
from study.tracking.views import (
    TAG,
    View,
    children_url,
    run_color,
    saved,
    tags,
    views,
)
from study.trial.config import TrialConfig
from study.trial.training import train

TAG_VALUE_LIMIT = 20_000  # mlflow.utils.validation.MAX_EXPERIMENT_TAG_VAL_LENGTH
NETWORKS = {name: {"model.cell": name} for name in ("elman", "lstm", "gru")}
LENGTHS = {str(length): {"task.length": length} for length in (10, 50)}


def space(**changes) -> Space:
    given = {
        "name": "s",
        "question": "Which\nnetwork?",
        "search": {"train.lr": {"low": 1, "high": 2}},
    }
    return Space.model_validate(given | {"compare": {"network": NETWORKS}} | changes)


def by_key(of: Space) -> dict[str, View]:
    return {view.key: view for view in views(of)}


@pytest.mark.parametrize("name", available())
def test_every_shipped_space_has_views_that_a_tag_can_hold(name):
    made = tags(load(available()[name]))
    assert [k for k in made if k.startswith(TAG)][:4] == [
        TAG + key for key in ("arms", "trials", "search", "curves")
    ]
    assert all(len(value) < TAG_VALUE_LIMIT for value in made.values())


def test_a_study_of_many_arms_fits_too():
    many = {f"label-{i}": {"model.hidden": i + 1} for i in range(400)}
    made = tags(space(compare={"hidden": many}))
    assert max(len(value) for value in made.values()) < TAG_VALUE_LIMIT


def test_tags_read_back_as_the_views_in_order():
    of = space(compare={"network": NETWORKS, "task.length": LENGTHS})
    assert saved(tags(of)) == views(of)


def test_a_view_saved_in_the_ui_and_a_broken_one():
    state = json.dumps({"searchFilter": ""})
    mine = json.dumps({"name": "Mine", "createdAt": 1_700_000_000_000, "state": state})
    broken = {TAG + "a": "{}", TAG + "b": "no", TAG + "c": json.dumps({"state": "deflate;AAAA"})}
    assert [view.title for view in saved({TAG + "x": mine, "other": "", **broken})] == ["Mine"]


def test_filters_and_columns():
    found = by_key(space())
    assert found["arms"].state["searchFilter"] == "tags.role = 'arm'"
    assert found["trials"].state["searchFilter"] == "tags.role = 'trial'"
    assert found["curves"].state["searchFilter"] == "tags.role = 'confirmation'"
    assert found["trials"].state["selectedColumns"][:3] == [
        "params.`axis.network`",
        "params.`train.lr`",
        "tags.`outcome`",
    ]


def test_the_gradient_charts_are_of_each_output_whatever_it_is_called():
    def charted(**changes) -> list[str]:
        charts = by_key(space(**changes))["curves"].state["compareRunCharts"]
        return [c["metricKey"] for c in charts if "gradient_flow" in c.get("metricKey", "")]

    assert charted() == ["gradient_flow/init/h", "gradient_flow/final/h"]
    both = {name: {"model.cell": name} for name in ("lstm", "jordan")}
    assert charted(compare={"network": both}) == [
        f"gradient_flow/{stage}/{output}" for output in "hy" for stage in ("init", "final")
    ]
    searched = {"model.cell": {"values": ("jordan", "lstm")}}
    assert charted(compare={}, search=searched) == [
        f"gradient_flow/{stage}/{output}" for output in "yh" for stage in ("init", "final")
    ]


def test_without_confirmations_the_curves_are_those_of_the_trials():
    assert by_key(space(confirmations=0))["curves"].state["searchFilter"] == "tags.role = 'trial'"


def test_curves_of_each_task_when_several_are_compared():
    found = by_key(space(compare={"network": NETWORKS, "task.length": LENGTHS}))
    one = found["curves-50"].state
    expected = "tags.role = 'confirmation' and params.`axis.task.length` = '50'"
    assert one["searchFilter"] == expected
    assert len(one["groupsExpanded"]) == len(NETWORKS)
    assert set(by_key(space(compare={"task.length": LENGTHS}))) == {
        "arms",
        "trials",
        "search",
        "curves",
        "gradient-flow",
    }


def test_gradient_flow_is_a_table_of_all_runs_that_sorts_by_what_is_left_at_the_lag():
    state = by_key(space())["gradient-flow"].state
    assert state["searchFilter"] == ""
    assert state["orderByKey"] == "metrics.`state_gradients/final/log10_ratio_at_lag`"
    for name in ("gradient_flow/final/half_life_steps", "conditioning/init/largest_exponent"):
        assert f"metrics.`{name}`" in state["selectedColumns"]
    assert state["selectedColumns"][:2] == ["tags.`role`", "params.`axis.network`"]


def test_no_chart_is_sorted_into_a_section_that_is_not_there():
    for view in views(space()):
        sections = [s["uuid"] for s in view.state.get("compareRunSections", [])]
        charts = view.state.get("compareRunCharts", [])
        assert {chart["metricSectionId"] for chart in charts} <= set(sections)
        assert len({chart["uuid"] for chart in charts}) == len(charts)
        assert view.charts == bool(charts)


def test_every_metric_that_a_run_can_have_is_in_a_folded_section():
    """MLflow sorts a metric by what stands before its last slash."""
    small = {"model.hidden": 3, "train.steps": 2, "train.evaluate_every": 1, "train.batch": 2}
    task = {"task": "transduction", "task.length": 3, "attention": "soft", "decoder.beam": 2}
    config = TrialConfig.from_flat(small | task)
    record = TrialRecord("k", "n", "single", config.complete())
    for item in train(config, test=True):
        kind, content = message(item, config)
        record.add(kind, content | {"ms": 0})
    names = {point.key for point in record.to_run().points}
    assert {"attention/peak", "test/beam_exact", "train/loss", "init/spectral_radius"} <= names
    sections = {name.rpartition("/")[0] or "Model metrics" for name in names}
    # Dear probes do not run here, and others may have nothing to say of this network.
    assert set(_GENERATED) | {"state_gradients/training"} <= sections <= set(folded())


def test_nothing_compared():
    found = by_key(space(compare={}))
    assert "groupBy" not in found["curves"].state
    assert run_color(space(compare={}), space(compare={}).arms()[0])


def test_a_chart_s_address_asks_for_charts_and_escapes_the_key():
    assert View("a+b", "", {}, charts=True).url("7") == (
        "#/experiments/7/runs?workflowType=machine_learning"
        "&viewStateShareKey=a%2Bb&compareRunsMode=CHART"
    )


def test_the_color_of_a_group_is_mlflow_s():
    # Read off the UI: the place of each group's color in its list of 29.
    groups = {
        "param.axis.network.lstm": 5,
        "param.axis.network.irnn": 10,
        "param.axis.network.gru": 24,
    }
    assert {group: _color_of_group(group) for group in groups} == groups


def test_groups_whose_colors_would_be_the_same_are_named_otherwise():
    # "param.axis.network.tanh" and "….lstm" have one color; "tag.arm.tanh,10" has another.
    compare = {"network": {"tanh": {}, "lstm": {}}, "task.length": LENGTHS}
    grouped = by_key(space(compare=compare))["curves-10"].state["groupsExpanded"]
    assert len({_color_of_group(group) for group in grouped}) == 2


def test_arms_that_differ_in_the_task_only_have_one_color():
    of = space(compare={"network": NETWORKS, "task.length": LENGTHS})
    colors = {arm.slug: run_color(of, arm) for arm in of.arms()}
    assert colors["lstm,10"] == colors["lstm,50"]
    assert len(set(colors.values())) == len(NETWORKS)


def test_the_note_s_first_line_has_the_question_and_the_links():
    first = experiment_note(space(), "7").splitlines()[0]
    assert first.startswith("**Which network?** [Arms](#/experiments/7/runs?")


def test_the_note_s_paragraphs_are_one_line_each():
    note = experiment_note(space(notes="One\nparagraph.\n\nAnother."), "7")
    assert "\n\nOne paragraph.\n\nAnother.\n\nCompared:\n- **network**: elman, lstm, gru\n" in note


def test_an_arm_s_note_links_to_its_runs():
    url = children_url("7", "a1b2")
    assert f"({url})" in arm_note(space().arms()[0], "7", "a1b2")
    assert "tags.%60mlflow.parentRunId%60+%3D+%27a1b2%27" in url


def test_the_server_lists_the_views_of_every_study(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = Store.open(tmp_path, create=True)
    number = store.experiment("s", {"longlag.study": "s", **tags(space())})
    store.experiment("train", {})
    lines = view_links(store, "http://here")
    assert lines[0] == "s"
    assert lines[1].split() == ["Arms", f"http://here/{views(space())[0].url(number)}"]
    assert len(lines) == 1 + len(views(space()))


def test_the_first_page_is_the_table_of_the_only_study_or_the_list(tmp_path, monkeypatch):
    # Seen in a browser: without the workflow MLflow 3.17 opens pages for language models.
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = Store.open(tmp_path, create=True)
    listed = "#/experiments?workflowType=machine_learning"
    assert front(store) == listed
    number = store.experiment("s", {"longlag.study": "s"})
    store.experiment("train", {})
    assert front(store) == f"#/experiments/{number}/runs?workflowType=machine_learning"
    store.experiment("r", {"longlag.study": "r"})
    assert front(store) == listed


def test_every_page_is_of_the_side_for_training_models():
    for page in (
        ui_pages.experiments(),
        ui_pages.runs("7"),
        ui_pages.run("7", "a1b2"),
        children_url("7", "a1b2"),
        *(view.url("7") for view in views(space())),
    ):
        assert re.fullmatch(
            r"#/experiments(/7/runs(/a1b2)?)?\?workflowType=machine_learning(&.*)?", page
        )
