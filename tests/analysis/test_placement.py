"""Where labels go."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from analysis.figures.placement import spread

LABELS = st.lists(
    st.tuples(st.floats(0, 100), st.floats(1, 20)), min_size=1, max_size=6, unique_by=lambda p: p[0]
)


@given(LABELS)
def test_labels_do_not_overlap_keep_their_order_and_stay_inside(labels: list) -> None:
    centres, sizes = zip(*labels, strict=True)
    placed = spread(centres, sizes, 0, 120)
    order = np.argsort(centres, kind="stable")
    assert list(np.argsort(placed, kind="stable")) == list(order)
    for one, other in pairwise(order):
        assert placed[other] - placed[one] >= (sizes[one] + sizes[other]) / 2 - 1e-9
    assert all(p - s / 2 >= -1e-9 for p, s in zip(placed, sizes, strict=True))
    assert all(p + s / 2 <= 120 + 1e-9 for p, s in zip(placed, sizes, strict=True))


def test_what_has_room_stays() -> None:
    assert spread([50, 10, 90], [20, 20, 20], 0, 100) == pytest.approx([50, 10, 90])
    assert spread([], [], 0, 100) == []


def test_two_at_one_place_give_way_equally() -> None:
    assert spread([50, 50], [20, 10], 0, 100) == pytest.approx([42.5, 57.5])


def test_at_an_end_only_the_others_give_way() -> None:
    assert spread([0, 4], [10, 10], 0, 100) == pytest.approx([5, 15])
    assert spread([100, 96], [10, 10], 0, 100) == pytest.approx([95, 85])


def test_without_room_for_all_they_go_on_beyond_the_end() -> None:
    assert spread([5, 5, 5], [10, 10, 10], 0, 20) == pytest.approx([5, 15, 25])


def test_the_sum_of_squared_moves_is_the_least() -> None:
    centres, sizes = [10.0, 12.0, 13.0, 40.0, 45.0], [8.0, 10.0, 6.0, 12.0, 4.0]
    apart = [(a + b) / 2 for a, b in pairwise(sizes)]
    limits = [
        {"type": "ineq", "fun": lambda p, i=i, d=d: p[i + 1] - p[i] - d}
        for i, d in enumerate(apart)
    ]
    found = minimize(
        lambda p: float(np.sum((p - centres) ** 2)), centres, method="SLSQP", constraints=limits
    )
    assert spread(centres, sizes, -100, 200) == pytest.approx(found.x, abs=1e-3)
