"""`longlag gradient`: networks whose gradient is known, in the terminal and in the picture."""

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from analysis.figures import style
from study.base.errors import UserError
from study.commands import gradient as module
from study.commands.gradient import JACOBIAN_STEPS, Measured, measure
from study.commands.gradient_files import write_files
from study.commands.gradient_page import page, sparkline
from study.commands.gradient_pictures import (
    MARKED,
    PICTURES,
    gradient_picture,
    jacobian_picture,
    lyapunov_picture,
)
from study.commands.gradient_wording import (
    explained,
    exponent,
    exponents_explained,
    heard,
    jacobians_explained,
    picture_sentences,
    power_of_ten,
    relative,
    sentences,
)
from study.probes.jacobians import Spectrum
from study.probes.state_gradients import Curve

LINEAR = "elman,model.phi=identity,init.recurrent=scaled-identity,init.recurrent.scale={}"
SMALL = ["model.hidden=3", "train.engine=reference"]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exponents of a linear map are there after any number."""
    monkeypatch.setattr(module, "STREAM_STEPS", 40)


def linear(a: float, length: int = 40) -> Measured:
    """h_t = a h_{t-1} + W x_t: ‖∂L/∂h‖ at a lag is a^lag of that at lag 0."""
    (network,) = measure([LINEAR.format(a)], SMALL, length)
    return network


def nothing_of(network: Measured, **found: object) -> Measured:
    """As it is where nothing is finite, but for what is given."""
    none = {"gradients": None, "exponents": None, "jacobians": None}
    return replace(network, **{**none, **found})  # type: ignore[arg-type]


def lost() -> Measured:
    """As where a step maps every state to the same one."""
    network = linear(1.0)
    assert network.exponents is not None
    assert network.jacobians is not None
    none = Spectrum([None] * 3, [None] * 3)
    products = [none] * len(network.jacobians.lags)
    return replace(
        network,
        name="lost",
        exponents=replace(network.exponents, exponents=[None] * 3, standard_errors=[None] * 3),
        jacobians=replace(network.jacobians, step=none, products=products),
    )


def in_80_columns(*networks: Measured) -> list[str]:
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
    assert "not finite" in explained(nothing_of(network))
    assert network.gradients is not None
    made = type(network.gradients)
    none = Curve([None] * 3, [None] * 3, [None] * 3)
    found = made([0, 1, 2], {"h": none}, none, 2, None, None, None)
    assert "no gradient" in explained(nothing_of(network, gradients=found))
    gone = Curve([0.0, None, None], [0.0, None, None], [0.0, None, None])
    found = made([0, 1, 2], {"h": gone}, gone, 2, 1.0, None, "vanishing")
    told = explained(nothing_of(network, gradients=found))
    assert "2 steps back the gradient is exactly zero" in told
    assert heard(found) == 0


@pytest.mark.parametrize("a", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("length", [40, 150, 400])
def test_how_far_an_update_hears(a: float, length: int) -> None:
    network = linear(a, length)
    assert network.gradients is not None
    expected = min(math.floor(-3 / math.log10(a)), length - 1)
    assert heard(network.gradients) == expected


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
    networks = [linear(0.5), linear(1.0), nothing_of(replace(linear(1.0), name="gone"))]
    with style.page():
        (axes,) = gradient_picture(networks).axes
    assert axes.get_yscale() == "log"
    lines = axes.get_lines()
    assert len(lines) == 2
    for network, line, a in zip(networks, lines, (0.5, 1.0), strict=False):
        assert network.gradients is not None
        assert list(line.get_xdata()) == network.gradients.lags == list(range(40))
        assert line.get_ydata() == pytest.approx([a**lag for lag in range(40)], rel=1e-3)
        look = style.looks([n.name for n in networks])[network.name]
        assert to_hex(line.get_color()) == look.color
        assert 10 ** relative(network.gradients.whole)[3] == pytest.approx(a**3, rel=1e-3)
    low, high = axes.get_ylim()
    assert low < 0.5**39 < 1 < high


def test_the_other_pictures_show_what_was_measured() -> None:
    networks = [linear(0.5), nothing_of(replace(linear(1.0), name="gone"))]
    with style.page():
        spectrum, decay = lyapunov_picture(networks).axes
        step, products = jacobian_picture(networks).axes
    [_, exponents] = spectrum.get_lines()
    assert list(exponents.get_xdata()) == [1, 2, 3]
    assert exponents.get_ydata() == pytest.approx([math.log(0.5)] * 3)
    marks, line = decay.get_lines()
    assert marks.get_linestyle() == "None"
    assert list(marks.get_xdata()) == list(range(0, 40, MARKED))
    for drawn in (marks, line):
        assert drawn.get_ydata() == pytest.approx([0.5**k for k in drawn.get_xdata()], rel=1e-3)
    values, _ = step.get_lines()
    assert values.get_ydata() == pytest.approx([0.5] * 3)
    largest, _ = products.get_lines()
    assert list(largest.get_xdata()) == [1, 2, 4, 8, 16, 32, 40]
    assert largest.get_ydata() == pytest.approx([0.5**k for k in largest.get_xdata()])


def test_every_picture_can_be_drawn_of_what_is_hostile() -> None:
    tiny = ["elman,model.hidden=1", "lstm,model.hidden=2"]
    hostile = measure(tiny, SMALL[1:], 2)
    hostile += measure(["gru"], [*SMALL, "task.name=digit-drawing"], None)  # one step is read
    hostile += [nothing_of(replace(hostile[0], name="gone"), too_large=True)]
    (exploding,) = measure([LINEAR.format(100)], SMALL, 400)  # 100^399 is beyond float64
    for networks in (hostile, [exploding], [lost()], [exploding, lost()]):
        assert page(networks)
        with style.page():
            for draw in PICTURES.values():
                for axes in draw(networks).axes:
                    low, high = axes.get_ylim()
                    assert math.isfinite(low)
                    assert math.isfinite(high)
        for network in networks:
            assert "nan" not in " ".join(sentences(network).values())


def test_the_files(tmp_path: Path) -> None:
    networks = [linear(0.5), nothing_of(replace(linear(1.0), name="gone"))]
    paths = write_files(networks, tmp_path / "new" / "out")
    assert {path.stem for path in paths} == {*PICTURES}
    for path in paths:
        begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".json": b"{"}[path.suffix]
        assert path.read_bytes().startswith(begins)
    told = json.loads(paths[-1].read_text())
    assert told["pictures"] == picture_sentences(networks)
    assert set(told["pictures"]) == set(PICTURES)
    whole, gone = told["networks"]
    assert whole["sentences"] == sentences(networks[0])
    assert set(whole["sentences"]) == set(PICTURES)
    assert whole["state_gradients"]["lags"] == list(range(40))
    assert whole["lyapunov"]["exponents"] == pytest.approx([math.log(0.5)] * 3)
    assert whole["jacobians"]["lags"][-1] == 40
    assert gone["state_gradients"] is gone["lyapunov"] is gone["jacobians"] is None
    with pytest.raises(UserError, match="cannot write to"):
        write_files(networks, paths[0])


def test_an_exponent_is_tied_to_the_gradient() -> None:
    # ln 0.5 = -0.6931 a step, 0.5^39 = 1.8e-12 of it over the lag; ln 2 and 2^39 = 5.5e11.
    told = exponents_explained(linear(0.5))
    assert "λ₁ = -0.6931 ± <1e-6 nats" in told
    assert "multiplied by e^λ₁ = 0.5 a step" in told
    ended = (
        "over 39 steps by e^(39·λ₁) = 10^-12; measured was 10^-12: λ₁ is below 0, and the gradient"
    )
    assert f"{ended} vanishes." in told
    told = exponents_explained(linear(2.0))
    assert "= 10^12; measured was 10^12: λ₁ is above 0, and the gradient explodes." in told
    assert "λ₁ = 0 ± <1e-6" in exponents_explained(linear(1.0))
    # 0.9^39 = 0.016
    told = exponents_explained(linear(0.9))
    assert "= 0.016; measured was 0.016: λ₁ is close enough to 0" in told
    other = replace(linear(1.0), exponents=linear(0.5).exponents)
    assert "= 10^-12; measured was 1, as over this lag λ₁ alone" in exponents_explained(other)
    assert "λ₁ is -∞" in exponents_explained(lost())
    assert "not finite" in exponents_explained(nothing_of(linear(1.0)))


def test_singular_values_are_explained() -> None:
    told = jacobians_explained(linear(0.5))
    assert "σ₁ = 0.5 and another by σ_N = 0.5" in told
    assert "the condition number, is 1, and 1 over 40 steps" in told
    assert "so there are no singular values" in jacobians_explained(nothing_of(linear(1.0)))
    assert "longlag probe" in jacobians_explained(nothing_of(linear(1.0), too_large=True))
    assert "a step loses all" in jacobians_explained(lost())
    alone = jacobians_explained(measure([LINEAR.format(0.5) + ",model.hidden=1"], SMALL[1:], 4)[0])
    assert "σ₁ = 0.5, and there is no other direction" in alone


def test_jacobians_are_of_the_first_steps_and_of_no_large_state() -> None:
    network = linear(0.5, JACOBIAN_STEPS + 20)
    assert network.jacobians is not None
    assert network.jacobians.lags[-1] == JACOBIAN_STEPS
    assert network.product is not None
    assert network.product.mean == pytest.approx([JACOBIAN_STEPS * math.log(0.5)] * 3)
    (large,) = measure(["lstm"], ["model.hidden=129", *SMALL[1:]], 2)
    assert large.too_large
    assert large.jacobians is None
    assert "too large" in "\n".join(in_80_columns(large))


def test_sequences_of_several_lengths_end_where_they_end() -> None:
    """variable lengths: 1 … of them, none longer than what is looked at."""
    settings = ["task.name=reber", "model.hidden=2", "train.engine=reference"]
    (network,) = measure(["elman"], settings, None)
    assert network.jacobians is not None
    lengths = network.config.task.validation().ends
    assert lengths is not None
    assert network.jacobians.lags[-1] <= min(JACOBIAN_STEPS, int(lengths.max()) + 1)


def test_powers_of_ten() -> None:
    for value, told in (
        (0.5, "0.5"),
        (1, "1"),
        (190, "190"),
        (1.2e3, "1200"),
        (0.00012, "0.00012"),
    ):
        assert power_of_ten(math.log(value)) == told
    assert power_of_ten(math.log(3e-7)) == "10^-7"
    assert power_of_ten(-1e4) == "10^-4343", "beyond float64"


def test_an_exponent_has_its_error() -> None:
    found = linear(0.5).exponents
    assert found is not None
    for error, told in ((2e-3, "± 0.002"), (0.12, "± 0.1"), (1e-9, "± <1e-6")):
        assert exponent(replace(found, standard_errors=[error] * 3)) == f"-0.6931 {told}"
    assert exponent(replace(found, standard_errors=[None] * 3)) == "-0.6931"
    assert exponent(replace(found, exponents=[None] * 3)) == ""
