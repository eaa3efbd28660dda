"""What was measured of a network, in sentences for a student."""

import math
from collections.abc import Sequence

from study.commands.gradient import Measured
from study.probes.lyapunov import Lyapunov
from study.probes.state_gradients import EXPLODING, VANISHING, Curve, LaggedGradients, Verdict


def sentences(network: Measured) -> dict[str, str]:
    """One for each picture, by its name."""
    return {
        "gradient": explained(network),
        "lyapunov": exponents_explained(network),
        "jacobian_spectra": jacobians_explained(network),
    }


def explained(network: Measured) -> str:
    """What the curve says of what the network can learn from, in one sentence."""
    name, found = network.name, network.gradients
    if found is None:
        return f"{name}: the gradient is not finite, so nothing can be learned from it."
    if found.verdict is None:
        return f"{name}: the loss at the last step has no gradient."
    if found.log10_ratio_at_lag is None:
        return (
            f"{name} vanishes: {found.lag} steps back the gradient is exactly zero, so an update "
            "hears nothing of what was read then."
        )
    ratio, left = found.log10_ratio_at_lag, left_at_lag(found)
    steps = abs(found.lag * math.log10(2) / ratio) if ratio else math.inf
    if found.verdict == "vanishing":
        return (
            f"{name} vanishes: {found.lag} steps back {left} of the last step's gradient is left, half "
            f"as much every {steps:.2g} steps in the mean; what was read more than about "
            f"{heard(found)} steps before the answer is less than a thousandth of it, and an update "
            "hardly hears of it."
        )
    if found.verdict == "exploding":
        return (
            f"{name} explodes: {found.lag} steps back the gradient is {left} times the last step's, "
            f"twice as much every {steps:.2g} steps in the mean; without clipping what was read first "
            "rules the update."
        )
    return (
        f"{name} keeps it: {found.lag} steps back {left} of the last step's gradient is left, so an "
        "update hears of all that was read."
    )


def exponents_explained(network: Measured) -> str:
    """What λ₁ says of the gradient at the task's lag, in one sentence."""
    name, found = network.name, network.exponents
    if found is None:
        return f"{name}: a state or a derivative is not finite, so there are no Lyapunov exponents."
    largest = network.largest_exponent
    if largest is None:
        return (
            f"{name}: λ₁ is -∞, or lower than float64 resolves: next to nothing of a difference "
            "between two states outlives a step, and so of a gradient."
        )
    begun = (
        f"{name}: λ₁ = {exponent(found)} nats a step, so a small difference between two states, and a "
        f"gradient on its way back, is multiplied by e^λ₁ = {power_of_ten(largest, 3)} a step in the long run"
    )
    lag, measured = network.lag, network.gradients
    if lag is None or measured is None or measured.verdict is None:
        return f"{begun}."
    over = (
        f"{begun}, over {lag} steps by e^({lag}·λ₁) = {power_of_ten(largest * lag)}; measured was "
        f"{left_at_lag(measured)}"
    )
    verdict, told = _verdict(largest * lag)
    if verdict == measured.verdict:
        return f"{over}: {told}."
    return f"{over}, as over this lag λ₁ alone, a limit of long times, does not rule."


def _verdict(log: float) -> tuple[Verdict, str]:
    """On e to this natural logarithm, as on the gradient's ratio at the task's lag."""
    if log <= math.log(VANISHING):
        return "vanishing", "λ₁ is below 0, and the gradient vanishes"
    if log >= math.log(EXPLODING):
        return "exploding", "λ₁ is above 0, and the gradient explodes"
    return "kept", "λ₁ is close enough to 0 for so short a lag, and the gradient is kept"


def jacobians_explained(network: Measured) -> str:
    """What the singular values say of how evenly the directions of a gradient are kept."""
    name, found = network.name, network.jacobians
    if network.too_large:
        return (
            f"{name}: the Jacobians of so large a state take longer; `longlag probe` measures those of a "
            "tracked run."
        )
    step, product = network.step, network.product
    if found is None or step is None or step.mean[0] is None:
        what = "a state or a derivative is not finite" if found is None else "a step loses all"
        return f"{name}: {what}, so there are no singular values."
    begun = (
        f"{name}: a step's Jacobian stretches one direction by σ₁ = {power_of_ten(step.mean[0], 2)}"
    )
    condition = step.log_condition
    if found.size == 1:
        return f"{begun}, and there is no other direction."
    if condition is None:
        return (
            f"{begun} and shrinks another to nothing that float64 resolves: what a gradient has along "
            "that one is lost at once."
        )
    last = step.mean[-1]
    assert last is not None
    told = (
        f"{begun} and another by σ_N = {power_of_ten(last, 2)}; their ratio, the condition number, is "
        f"{power_of_ten(condition, 2)}"
    )
    lag = found.lags[-1]
    if product is not None and lag > 1 and product.log_condition is not None:
        told += f", and {power_of_ten(product.log_condition, 2)} over {lag} steps"
    return (
        f"{told}; it is 1 where every direction of a gradient is kept alike (dynamical isometry)."
    )


def picture_sentences(networks: Sequence[Measured]) -> dict[str, str]:
    """How to read each picture, by its name."""
    exponents = next((n.exponents for n in networks if n.exponents), None)
    found = next((n.jacobians for n in networks if n.jacobians), None)
    streams = (
        f" They are averages over {exponents.streams} streams of {exponents.steps} steps."
        if exponents
        else ""
    )
    steps = f" Measured on the first {found.lags[-1]} steps of a sequence." if found else ""
    return {
        "gradient": (
            "How much of the gradient of the last step's loss reaches the states of earlier steps: a line "
            "that falls vanishes, one that rises explodes, and a level one is kept. The band is the middle "
            "half of the sequences."
        ),
        "lyapunov": (
            "Left: the exponents λ₁ ≥ λ₂ ≥ …, the mean growth of ln|difference| a step along one direction "
            "after the other; below 0 differences shrink, above 0 they grow. Right: the gradient against "
            f"lag, as marks, and e^(λ₁·lag), as a line, which it follows in the long run.{streams}"
        ),
        "jacobian_spectra": (
            "Left: the singular values of one step's Jacobian, ∂s_{t+1}/∂s_t; level at 1 is dynamical "
            "isometry. Right: the largest, as a line, and the smallest that float64 resolves, at the lower "
            f"edge of the band, of ∂s_T/∂s_{{T-k}} over k steps.{steps}"
        ),
    }


def relative(curve: Curve) -> list[float | None]:
    """log₁₀ of the mean norm over that at lag 0; all None where there is none at lag 0."""
    first = curve.mean[0]
    if first is None:
        return [None] * len(curve.mean)
    return [None if value is None else value - first for value in curve.mean]


def left_at_lag(found: LaggedGradients) -> str:
    """The gradient's norm at the task's lag over that at lag 0; "" where it is zero there."""
    ratio = found.log10_ratio_at_lag
    if ratio is None:
        return "0" if found.verdict else ""
    return power_of_ten(ratio * math.log(10))


def power_of_ten(log: float, digits: int = 2) -> str:
    """e to a natural logarithm: "0.63", and "10^-40" where it is below 10^-4 or above 10^4."""
    common = log / math.log(10)
    return f"{float(f'{10**common:.{digits}g}'):g}" if abs(common) < 4 else f"10^{common:.0f}"


def exponent(found: Lyapunov) -> str:
    """λ₁ and its standard error; "" where it is not known."""
    largest, error = found.exponents[0], found.standard_errors[0]
    if largest is None:
        return ""
    known = "" if error is None else f" ± {error:.1g}" if error > 1e-6 else " ± <1e-6"
    return f"{largest if abs(largest) > 1e-6 else 0:.4g}{known}"


def heard(found: LaggedGradients) -> int:
    """The lag at which a thousandth is left for the first time, between lags that were kept a straight
    line in the logarithm."""
    edge = math.log10(VANISHING)
    curve = relative(found.whole)
    for i in range(1, len(curve)):
        before, value = curve[i - 1], curve[i]
        if value is None or before is None:
            return found.lags[i - 1]
        if value <= edge:
            part = (before - edge) / (before - value)
            return math.floor(found.lags[i - 1] + part * (found.lags[i] - found.lags[i - 1]))
    return found.lags[-1]
