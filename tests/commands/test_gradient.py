"""`longlag gradient`: networks whose gradient is known, in the terminal and in the picture."""

import json
import math
from io import StringIO
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from analysis.figures import style
from study.base.errors import UserError
from study.commands.gradient import (
    Untrained,
    explained,
    heard,
    measure,
    page,
    relative,
    sparkline,
)
from study.commands.gradient_files import draw, write_files
from study.probes.state_gradients import Curve

LINEAR = "elman,model.phi=identity,init.recurrent=scaled-identity,init.recurrent.scale={}"
SMALL = ["model.hidden=3"]


def linear(a: float, length: int = 40) -> Untrained:
    """h_t = a h_{t-1} + W x_t: ‖∂L/∂h‖ at a lag is a^lag of that at lag 0."""
    (network,) = measure([LINEAR.format(a)], SMALL, length)
    return network


def in_80_columns(*networks: Untrained) -> list[str]:
    console = Console(width=80, file=StringIO())
    with console.capture() as shown:
        console.print(page(networks))
    return shown.get().splitlines()


def test_a_vanishing_network_is_explained() -> None:
    network = linear(0.5)
    sentence = explained(network)
    # 0.5^39 = 1.8e-12; a half each step; 0.5^9.97 = 1e-3.
    assert "vanishes: 39 steps back 10^-12 of the last step's gradient" in sentence
    assert "half as much every 1 steps in the mean" in sentence
    assert "more than about 9 steps" in sentence


def test_networks_that_keep_or_explode_are_explained() -> None:
    assert "keeps it: 39 steps back 1 of the last step's" in explained(linear(1.0))
    # 2^39 = 5.5e11, doubled each step.
    told = explained(linear(2.0))
    assert "explodes: 39 steps back the gradient is 10^12 times the last step's" in told
    assert "twice as much every 1 steps" in told
    assert "keeps it" in explained(linear(0.9)), "0.9^39 = 0.016"
    assert "39 steps back 0.016 of" in explained(linear(0.9))


def test_what_has_no_gradient_is_explained() -> None:
    network = linear(0.5)
    assert "not finite" in explained(Untrained("n", network.config, None))
    assert network.found is not None
    none = Curve([None] * 3, [None] * 3, [None] * 3)
    found = type(network.found)([0, 1, 2], {"h": none}, none, 2, None, None, None)
    assert "no gradient" in explained(Untrained("n", network.config, found))
    gone = Curve([0.0, None, None], [0.0, None, None], [0.0, None, None])
    found = type(network.found)([0, 1, 2], {"h": gone}, gone, 2, 1.0, None, "vanishing")
    told = explained(Untrained("n", network.config, found))
    assert "2 steps back the gradient is exactly zero" in told
    assert heard(found) == 0


@pytest.mark.parametrize("a", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("length", [40, 150, 400])
def test_how_far_an_update_hears(a: float, length: int) -> None:
    network = linear(a, length)
    assert network.found is not None
    expected = min(math.floor(-3 / math.log10(a)), length - 1)
    assert heard(network.found) == expected


def test_a_curve_of_bars() -> None:
    assert sparkline([0.0, -1.0, -2.0, -4.0, -9.0, None], -4.0, 0.0) == "█▇▅▁▁ "
    assert sparkline([0.0, 2.0, 4.0], -4.0, 4.0) == "▅▇█"
    line = sparkline([-i / 10 for i in range(64)], -6.3, 0.0)
    assert len(line) == 24
    assert list(line) == sorted(line, reverse=True)
    assert (line[0], line[-1]) == ("█", "▁")


def test_the_page_has_a_line_and_a_sentence_for_each() -> None:
    networks = measure(["lstm", LINEAR.format(1.0)], SMALL, 30)
    lines = in_80_columns(*networks)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "…" not in text, "nothing is cut off"
    (lstm,) = [line for line in lines if line.startswith("lstm ")][:1]
    assert "29" in lstm
    assert lstm.rstrip().endswith("vanishing")
    assert any("█" * 24 in line and "kept" in line for line in lines)
    for network in networks:
        assert explained(network).split()[1] in " ".join(text.split())


def test_settings_are_those_of_all_or_of_one() -> None:
    given = ["lstm", "lstm,init.bias=chrono,model.hidden=5"]
    one, other = measure(given, ["task.name=copy", "task.length=4", "model.hidden=3"], None)
    assert (one.config.model.hidden, other.config.model.hidden) == (3, 5)
    assert (one.config.task.name, other.config.task.name) == ("copy", "copy")
    assert (one.config.init.bias.name, other.config.init.bias.name) == ("zeros", "chrono")
    (plain,) = measure(["elman"], SMALL, None)
    assert (plain.config.task.name, plain.config.task.steps) == ("adding", 200)


@pytest.mark.parametrize(
    ("names", "settings", "length", "message"),
    [
        (["lstmm"], [], None, "did you mean 'lstm'"),
        (["lstm", "lstm"], [], None, "named twice"),
        (["lstm,model.cell=gru"], [], None, "names its cell twice"),
        (["lstm"], ["model.cell=gru"], None, "leave model.cell out"),
        (["lstm"], ["task.length=5"], 6, "the length is set twice"),
        (["lstm,init.bias"], [], None, "a setting is NAME=VALUE"),
        (["lstm"], ["task.name=digits"], 9, "no parameter 'length'"),
    ],
)
def test_mistakes(names: list[str], settings: list[str], length: int | None, message: str) -> None:
    with pytest.raises(UserError) as told:
        measure(names, settings, length)
    assert message in str(told.value)


def test_the_picture_shows_what_was_measured(tmp_path: Path) -> None:
    networks = [linear(0.5), linear(1.0), Untrained("gone", linear(1.0).config, None)]
    with style.page():
        (axes,) = draw(networks).axes
    assert axes.get_yscale() == "log"
    lines = axes.get_lines()
    assert len(lines) == 2
    for network, line, a in zip(networks, lines, (0.5, 1.0), strict=False):
        assert network.found is not None
        assert list(line.get_xdata()) == network.found.lags == list(range(40))
        assert line.get_ydata() == pytest.approx([a**lag for lag in range(40)], rel=1e-3)
        look = style.looks([n.name for n in networks])[network.name]
        assert to_hex(line.get_color()) == look.color
        assert 10 ** relative(network.found.whole)[3] == pytest.approx(a**3, rel=1e-3)
    low, high = axes.get_ylim()
    assert low < 0.5**39 < 1 < high
    paths = write_files(networks, tmp_path / "new" / "out")
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in paths[1].read_bytes()
    told = json.loads(paths[2].read_text())
    assert [entry["sentence"] for entry in told] == [explained(n) for n in networks]
    assert told[0]["state_gradients"]["lags"] == list(range(40))
    assert told[2]["state_gradients"] is None
    with pytest.raises(UserError, match="cannot write to"):
        write_files(networks, paths[0])
