"""How labels are shown."""

import pytest

from study.base.labels import spoken


@pytest.mark.parametrize(
    ("axis", "label", "shown"),
    [
        ("task.length", "10", "length 10"),
        ("train.lr", "1e-3", "lr 1e-3"),
        ("model.bidirectional", "True", "bidirectional true"),
        ("clip.name", "none", "clip none"),
        ("decoder.teacher_forcing", "0.5", "teacher forcing 0.5"),
        ("lag", "-3", "lag -3"),
        ("model.cell", "lstm", "lstm"),
        ("network", "lstm-2", "lstm-2"),
    ],
)
def test_what_says_nothing_alone_is_shown_with_its_axis(axis: str, label: str, shown: str) -> None:
    assert spoken(axis, label) == shown
