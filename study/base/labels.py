"""How the labels of compared axes are shown, and what an arm's searches are called."""

_SEARCH = "~"  # which no label has


def spoken(axis: str, label: str) -> str:
    """A label that says nothing alone, with what it is of.

    ``task.length`` 10 is "length 10", ``model.bidirectional`` True "bidirectional true" and
    ``clip.name`` none "clip none"; "lstm" stays "lstm".
    """
    if not _needs_its_axis(label):
        return label
    noun = axis.removesuffix(".name").rpartition(".")[2].replace("_", " ")
    return f"{noun} {label.lower() if label in ('True', 'False') else label}"


def slug_of(arm: str, search: int) -> str:
    """What one of an arm's searches, which count from 0, is called in keys and tags; the first as the arm."""
    return f"{arm}{_SEARCH}{search + 1}" if search else arm


def arm_and_search(slug: str) -> tuple[str, int]:
    """The inverse of `slug_of`."""
    arm, _, number = slug.partition(_SEARCH)
    return arm, int(number) - 1 if number.isdecimal() else 0


def _needs_its_axis(label: str) -> bool:
    if label in ("True", "False", "none"):
        return True
    try:
        float(label)
    except ValueError:
        return False
    return True
