"""What the probes' files say, as far as figures draw it. They are read as a stranger's, and checked."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    model_validator,
)

Number = FiniteFloat | None  # None: zero in a logarithm, not resolved, or beyond all bounds


def _alike(what: str, *lists: list[Any]) -> None:
    """Raises ValueError unless all are of one length."""
    if len({len(values) for values in lists}) > 1:
        raise ValueError(f"{what} are of different lengths")


def _rising(lags: list[int]) -> list[int]:
    if lags != sorted(set(lags)):
        raise ValueError("lags rise, each is there once")
    return lags


Lags = Annotated[list[NonNegativeInt], Field(min_length=1), AfterValidator(_rising)]


class ProbeFinding(BaseModel):
    """One measurement; fields that no figure draws are left out. ``probe`` names the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    probe: ClassVar[str]


class Curve(BaseModel):
    """log₁₀ of norms at the lags kept: the mean over sequences, and their quartiles."""

    mean: list[Number]
    low: list[Number]
    high: list[Number]


class StateGradients(ProbeFinding):
    """‖∂L/∂s_t‖ against lag, of each state and of all as one vector."""

    probe = "state_gradients"
    lags: Lags
    states: dict[str, Curve]
    whole: Curve
    lag: NonNegativeInt
    log10_ratio_at_lag: Number
    verdict: Literal["vanishing", "kept", "exploding"] | None

    @model_validator(mode="after")
    def _curves_have_all_lags(self) -> "StateGradients":
        for curve in (self.whole, *self.states.values()):
            _alike("lags and their norms", self.lags, curve.mean, curve.low, curve.high)
        return self


class Spectrum(BaseModel):
    """ln σ_i in falling order, means over what was measured."""

    mean: list[Number] = Field(min_length=1)


class Jacobians(ProbeFinding):
    """Singular values of ∂s_T/∂s_{T-k}: of the whole state, or of each variable where that is too large."""

    probe = "jacobians"
    lags: Lags
    products: list[Spectrum] | None
    product_blocks: dict[str, list[Spectrum]]

    @model_validator(mode="after")
    def _every_lag_has_a_spectrum(self) -> "Jacobians":
        for spectra in (self.products, *self.product_blocks.values()):
            if spectra is not None:
                _alike("lags and spectra", self.lags, spectra)
        return self


class Lyapunov(ProbeFinding):
    """λ_1 ≥ λ_2 ≥ … in nats a step, with standard errors."""

    probe = "lyapunov"
    exponents: list[Number] = Field(min_length=1)
    standard_errors: list[Number]
    size: NonNegativeInt

    @model_validator(mode="after")
    def _every_exponent_has_an_error(self) -> "Lyapunov":
        _alike("exponents and their errors", self.exponents, self.standard_errors)
        return self


class RestPoint(BaseModel):
    """A fixed or slow point: eigenvalues [re, im] of the linearization, the largest modulus first."""

    kind: Literal["fixed", "slow"]
    eigenvalues: list[tuple[FiniteFloat, FiniteFloat]]
    timescales: list[Number]
    unstable_directions: NonNegativeInt


class FixedPoints(ProbeFinding):
    """Where the trained network stands still, or nearly so; counts of all, ``points`` those kept."""

    probe = "fixed_points"
    stable: NonNegativeInt
    marginal: NonNegativeInt
    unstable: NonNegativeInt
    slow: NonNegativeInt
    points: list[RestPoint]


class Gates(ProbeFinding):
    """``timescales`` of units in steps: None of one that keeps all, and where no gate keeps."""

    probe = "gates"
    keeper: str | None
    timescales: list[Number] | None
    lag: tuple[NonNegativeInt, NonNegativeInt]


class Memory(ProbeFinding):
    """How well a linear readout of each state finds the input ``lags`` steps before."""

    probe = "memory"
    measure: Literal["r2", "accuracy"]
    lags: Lags
    chance: list[FiniteFloat]
    scores: dict[str, list[FiniteFloat]] = Field(min_length=1)
    task_lag: tuple[NonNegativeInt, NonNegativeInt]

    @model_validator(mode="after")
    def _every_lag_has_a_score(self) -> "Memory":
        _alike("lags and scores", self.lags, self.chance, *self.scores.values())
        if max(self.chance) >= 1:
            raise ValueError("chance is below 1")
        return self


class ParameterGradients(ProbeFinding):
    """What the steps at each lag add to the weights' gradient, as shares of the sum of their norms."""

    probe = "parameter_gradients"
    lags: Lags
    norm_shares: list[FiniteFloat] | None
    task_lag: NonNegativeInt
    half_lag: NonNegativeInt | None
    noise_scale: Number

    @model_validator(mode="after")
    def _every_lag_has_a_share(self) -> "ParameterGradients":
        if self.norm_shares is not None:
            _alike("lags and shares", self.lags, self.norm_shares)
        return self


class Estimate(BaseModel):
    """A shortened gradient beside the full one: window in steps, cosine, relative bias."""

    steps: NonNegativeInt
    cosine: FiniteFloat
    relative_bias: FiniteFloat


class CreditAssignment(ProbeFinding):
    """Gradients cut to a window that ends at the last step, the full one last."""

    probe = "credit_assignment"
    aligned: list[Estimate] = Field(min_length=1)
