"""What clipping did over some steps, as the numbers of a training curve."""

from collections.abc import Sequence

from study.clipping.base import Clipped


def curves(evidence: Sequence[Clipped]) -> dict[str, float]:
    """Means over the steps that were made: norms before and after, share clipped, cosine.

    Names as in "train/grad_norm". Without any such step there are no numbers, and without any step
    whose gradient has a direction no cosine.
    """
    made = [clip for clip in evidence if not clip.skipped]
    if not made:
        return {}
    values = {
        "grad_norm": _mean([clip.norm_before for clip in made]),
        "grad_norm_after": _mean([clip.norm_after for clip in made]),
        "clipped_share": _mean([float(clip.acted) for clip in made]),
    }
    cosines = [clip.cosine for clip in made if clip.cosine is not None]
    if cosines:
        values["grad_cosine"] = _mean(cosines)
    return {f"train/{name}": value for name, value in values.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
