"""Whether a search space can be swept: every arm can be built, with equal budgets, and be stored."""

import itertools
from collections.abc import Iterator, Mapping, Set

from study.base.errors import MissingFiles, UserError, unknown
from study.base.limits import ARM_TITLE, ARMS, TRIALS, TRIALS_IN_ALL
from study.base.toml import Scalar
from study.spaces.space import PROBES_SETTING, Arm, Searched, Space
from study.trial.config import TrialConfig

Pin = tuple[str, type, Scalar]  # a searched parameter's name and value; 1, 1.0 and true are three


def check_space(space: Space, chosen: Set[str] = frozenset()) -> None:
    """Raises UserError for the first thing wrong. ``chosen`` of what is fixed is from ``--set``."""
    _check_owners(space, chosen)
    if space.arm_count > ARMS:
        raise UserError(f"[compare] makes {space.arm_count} arms; at most {ARMS} can be swept")
    arms = space.arms()
    longest = max((arm.title for arm in arms), key=len)
    if len(longest) > ARM_TITLE:
        raise UserError(
            f"[compare]: an arm's name, its labels together, has at most {ARM_TITLE} characters "
            f"(got {len(longest)}); shorten the labels, or compare fewer things at once"
        )
    _Trying(space).all_of(arms)
    for arm in arms:
        _check_baselines(space, arm)
    _check_where(space)
    trials = _grid_size(space, arms) if space.sampler == "grid" else space.trials
    if trials * len(arms) > TRIALS_IN_ALL:
        raise UserError(
            f"{len(arms)} arms with {trials} trials each are {trials * len(arms):,} trials; a study "
            f"has at most {TRIALS_IN_ALL:,}"
        )


def _check_owners(space: Space, chosen: Set[str]) -> None:
    """Nothing is set in two places."""
    owners: dict[str, str] = {}
    claims: list[tuple[str, set[str]]] = [
        ("[study] probes", set() if space.probes is None else {PROBES_SETTING}),
        ("--set", set(chosen)),
        ("[fixed]", set(space.fixed) - chosen),
        ("[search]", set(space.search)),
        *(
            (f"[compare] {axis}", {name for settings in labels.values() for name in settings})
            for axis, labels in space.compare.items()
        ),
    ]
    for owner, names in claims:
        for name in sorted(names):
            if name == "seed":
                instead = "give --seed" if owner == "--set" else "set [study] seed"
                raise UserError(
                    f"seed in {owner}: every trial has a seed of its own; {instead} instead"
                )
            if other := owners.get(name):
                raise UserError(
                    f"{name} is set in {other} and in {owner}; it can have one place only"
                )
            owners[name] = owner


def _check_where(space: Space) -> None:
    """Each baseline is of some arm."""
    for number, baseline in enumerate(space.baselines, 1):
        for axis, label in baseline.where.items():
            title = f"[[baseline]] {number}: where"
            if axis not in space.compare:
                raise UserError(f"{title}: {unknown('axis', axis, list(space.compare))}")
            if label not in space.compare[axis]:
                raise UserError(
                    f"{title}: {unknown(f'label of {axis}', label, list(space.compare[axis]))}"
                )


def _check_baselines(space: Space, arm: Arm) -> None:
    """An arm's baselines can be drawn, and be built."""
    own = space.baselines_of(arm)
    if own and space.sampler == "grid":
        raise UserError('[[baseline]]: sampler "grid" tries every combination already')
    if len(own) > space.trials:
        raise UserError(
            f"arm {arm.slug} has {len(own)} baselines and {space.trials} trials; give more trials"
        )
    search = space.searched(arm)
    for baseline in own:
        where = f"[[baseline]] of {baseline.source!r}, arm {arm.slug}"
        for name, value in baseline.settings.items():
            if name not in search:
                raise UserError(f"{where}: {name} is not in [search]")
            if not search[name].holds(value):
                raise UserError(f"{where}: {name} = {value!r} is outside of what [search] has")
        settings = space.example(arm, baseline.settings)
        if unused := baseline.settings.keys() - settings.keys():
            raise UserError(f"{where}: {min(unused)} is not active, by its 'when' in [search]")
        try:
            TrialConfig.from_flat(settings)
        except MissingFiles:
            pass
        except UserError as error:
            raise UserError(f"{where}: {error}") from None


class _Trying:
    """Configurations are built until every combination of two things has been.

    What makes a configuration invalid lies between two parameters at most: a cell and an
    initializer, an optimizer and its momentum. So each arm is tried, each value once, each extreme
    value with each label, and each two extreme values together; not all of them in every arm.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._tried: set[frozenset[Pin] | tuple[tuple[str, str], Pin]] = set()
        self._used: set[str] = set()
        self._corners: set[Pin] = set()
        self._known: list[tuple[dict[str, Searched], list[dict[str, Scalar]]]] = []

    def all_of(self, arms: list[Arm]) -> None:
        """Raises UserError for what cannot be built, and for a parameter that no arm has."""
        for arm in arms:
            for pinned in self._pinned(self.space.searched(arm)):
                self._try(arm, pinned)
        for name in self.space.search:
            if name not in self._used:
                raise UserError(f"[search] {name} is never active: no arm meets its 'when'")

    def _pinned(self, search: dict[str, Searched]) -> list[dict[str, Scalar]]:
        """What is to be tried of an arm's ranges; most arms share theirs."""
        for known, pinned in self._known:
            if known == search:
                return pinned
        singles = [{name: v} for name, s in search.items() for v in s.extremes()]
        corners = [{name: v} for name, s in search.items() for v in _corners(s)]
        self._corners |= {pin for corner in corners for pin in _pins(corner)}
        pairs = (a | b for a, b in itertools.combinations(corners, 2) if a.keys() != b.keys())
        found: list[dict[str, Scalar]] = [{}, *singles, *pairs]
        self._known.append((search, found))
        return found

    def _try(self, arm: Arm, pinned: Mapping[str, Scalar]) -> None:
        new = {key for key in self._combinations(arm, pinned) if key not in self._tried}
        if pinned and not new and len(self._used) == len(self.space.search):
            return
        settings = self.space.example(arm, pinned)
        active = settings.keys() & self.space.search.keys()
        self._used |= active
        if pinned and not (new and pinned.keys() <= active):
            return
        self._tried |= new
        try:
            TrialConfig.from_flat(settings)
        except MissingFiles:
            return  # `check_data` asks for them before a sweep
        except UserError as error:
            at = "".join(f", {name} = {value!r}" for name, value in pinned.items())
            raise UserError(f"arm {arm.slug}{at}: {error}") from None

    def _combinations(
        self, arm: Arm, pinned: Mapping[str, Scalar]
    ) -> Iterator[frozenset[Pin] | tuple[tuple[str, str], Pin]]:
        pins = frozenset(_pins(pinned))
        yield pins
        for pin in pins & self._corners:
            for label in arm.labels.items():
                yield label, pin


def _pins(values: Mapping[str, Scalar]) -> Iterator[Pin]:
    return ((name, type(value), value) for name, value in values.items())


def _corners(searched: Searched) -> list[Scalar]:
    """Every name among the values, but of numbers the least and the greatest: bounds are intervals."""
    values = searched.extremes()
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    rest: list[Scalar] = [v for v in values if isinstance(v, str | bool)]
    return rest + ([min(numbers), max(numbers)] if numbers else [])


def _grid_size(space: Space, arms: list[Arm]) -> int:
    """Trials an arm, the same of each. Raises UserError."""
    every = (pair for arm in arms for pair in space.searched(arm).items())
    for name, searched in every:
        if searched.values is None:
            raise UserError(f'[search] {name}: sampler "grid" needs values = [...], not a range')
    most = TRIALS_IN_ALL // len(arms)  # so that no more are laid out than a study may have
    sizes = {arm.slug: len(space.grid(arm, min(TRIALS, most) + 1)) for arm in arms}
    if max(sizes.values()) > TRIALS:
        raise UserError(f"the grid has more than {TRIALS} trials an arm; search fewer values")
    if len(set(sizes.values())) > 1:
        listing = ", ".join(f"{slug} {size}" for slug, size in sizes.items())
        raise UserError(
            f"arms must have equal budgets, but the grid gives them different numbers of trials "
            f'({listing}); use sampler = "sobol", "random" or "tpe"'
        )
    size = next(iter(sizes.values()))
    if size <= most and "trials" in space.model_fields_set and space.trials != size:
        raise UserError(f"the grid has {size} trials an arm; leave out trials (got {space.trials})")
    return size
