"""How the labels of compared axes are shown."""


def spoken(axis: str, label: str) -> str:
    """A label that says nothing alone, with what it is of.

    ``task.length`` 10 is "length 10", ``model.bidirectional`` True "bidirectional true" and
    ``clip.name`` none "clip none"; "lstm" stays "lstm".
    """
    if not _needs_its_axis(label):
        return label
    noun = axis.removesuffix(".name").rpartition(".")[2].replace("_", " ")
    return f"{noun} {label.lower() if label in ('True', 'False') else label}"


def _needs_its_axis(label: str) -> bool:
    if label in ("True", "False", "none"):
        return True
    try:
        float(label)
    except ValueError:
        return False
    return True
