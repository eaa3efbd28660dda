"""Chosen settings near the end of a range, and what wider range is told."""

import math

import pandas as pd
import pytest

from analysis.data.runs import Results
from analysis.findings.edges import _edge, edges, sentence

LOG = {"low": 0.001, "high": 0.1, "log": True}


@pytest.mark.parametrize(
    ("value", "spec", "bound", "further"),
    [
        (0.0011, LOG, 0.001, 0.0001),
        (0.095, LOG, 0.1, 1.0),
        (0.01, LOG, None, None),
        (math.nan, LOG, None, None),
        (0.5, {"low": 0.0, "high": 10.0}, 0.0, None),  # nothing is below 0
        (9.5, {"low": 0.0, "high": 10.0}, 10.0, 15.0),
        (0.98, {"low": 0.0, "high": 1.0}, 1.0, None),  # what may be a share ends at 1
        (0.995, {"low": 0.5, "high": 0.996, "log_below_one": True}, 0.996, 0.99964),
        (0.51, {"low": 0.5, "high": 0.99, "log_below_one": True}, 0.5, 0.0),
        (1.0, {"values": [1.0, 10.0, 100.0]}, 1.0, 0.1),
        (100.0, {"values": [1.0, 10.0, 100.0]}, 100.0, 1000.0),
        (10.0, {"values": [1.0, 10.0, 100.0]}, None, None),
        (4.0, {"values": [2, 3, 4]}, 4.0, 5.0),
        (2.0, {"values": [1, 2]}, None, None),  # of two each is an end
        (1.0, {"values": [1, 2, "none"]}, None, None),
        (1.0, {"low": 1.0, "high": 1.0}, None, None),
        (1.0, {"low": 0.0, "high": 1.0, "log": True}, None, None),
    ],
)
def test_the_end_and_where_a_wider_range_goes(
    value: float, spec: dict, bound: float | None, further: float | None
) -> None:
    found = _edge(value, spec)
    if further is None:
        assert found is None
    else:
        assert found == pytest.approx((bound, further), rel=1e-3, abs=1e-12)


def study(*chosen: tuple[str, float]) -> Results:
    rows = [
        {"arm": f"{a},t", "architecture": a, "task": "t", "chosen": True, "param.train.lr": value}
        for a, value in chosen
    ]
    none = pd.DataFrame()
    space = {"search": {"train.lr": LOG}}
    ranges = {"own,t": {"train.lr": {"low": 0.00001, "high": 0.01, "log": True}}}
    return Results(
        "s", "1", space, {}, {}, none, pd.DataFrame(rows), none, none, none, none, ranges=ranges
    )


def test_each_arm_by_its_own_range() -> None:
    found = edges(study(("lstm", 0.0011), ("gru", 0.01), ("own", 0.0095), ("other", 0.0095)))
    assert [(e.architecture, e.bound) for e in found] == [("lstm", 0.001), ("own", 0.01)]
    told = sentence(found)
    assert "lstm has train.lr = 0.0011, at the low end of its range, 0.001" in told
    assert "goes to 1.00e-4" in told or "goes to 0.0001" in told
    assert sentence([]) == ""


def test_searches_of_an_arm_that_end_alike_are_told_once() -> None:
    told = sentence(edges(study(("lstm", 0.0011), ("lstm", 0.0012))))
    assert told.count("lstm") == 1
