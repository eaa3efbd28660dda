"""When a training has diverged: what is lost for good, told from what only looks so for a moment."""

import math

from study.clipping import Clipped

# A training loss this many times chance is an explosion: on every task a constant scores 1.
EXPLODED = 1e4
# Updates in a row that make it a lasting one. A ReLU network that starts as the identity has spikes of up
# to 5e13 times chance on its way to a solution, of one or two updates each (adding, T = 50 and 100, 26
# solved runs). Two runs were above for longer, one for 22 updates and one for 836: neither learned.
LASTING_UPDATES = 100


class Divergence:
    """Watches one training. ``diverged(loss, clip)`` after every update says whether it is lost.

    It is when the gradient is not finite after the clipping rule had its say, so that the parameters
    no longer are either; or when the training loss was above ``EXPLODED`` times ``chance_loss``, or
    not finite, in ``LASTING_UPDATES`` updates in a row. A step that the rule skipped counts neither
    way.
    """

    def __init__(self, chance_loss: float) -> None:
        self._bound = EXPLODED * chance_loss
        self._in_a_row = 0

    def diverged(self, loss: float, clip: Clipped | None) -> bool:
        """``clip`` is what the rule did to the gradient; None of a step that has none, such as a guess."""
        if clip is None or clip.skipped:
            return False
        self._in_a_row = 0 if loss <= self._bound else self._in_a_row + 1  # NaN is not below
        return not math.isfinite(clip.norm_after) or self._in_a_row >= LASTING_UPDATES
