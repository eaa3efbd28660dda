"""Workers that died in the middle of a trial: which trials, how often, and when a sweep gives up.

The death of a worker says nothing of the trial's configuration. So the trial is run again, then set
aside for the next sweep, and only one that has taken its workers with it in several sweeps counts as
failed.
"""

from typing import Literal

from study.sweep.execution import Died

TRIES_A_SWEEP = 2
MOST_TRIES = 6  # over all sweeps
_MORE_THAN_WORKERS = 3

Verdict = Literal["again", "aside", "failed", "stop"]


class Deaths:
    """What becomes of a trial whose worker died, in a sweep with ``workers`` of them.

    ``aside`` are the keys of the trials that this sweep does not try again.
    """

    def __init__(self, workers: int) -> None:
        # Every worker may die at once, of one cause that is over; that more die then, is another matter.
        self._most = workers + _MORE_THAN_WORKERS
        self._of: dict[str, int] = {}
        self._in_a_row = 0
        self.aside: set[str] = set()
        self.stopped = ""

    def over(self) -> None:
        """A trial has ended by itself: the machine can still do that."""
        self._in_a_row = 0

    def add(self, event: Died, earlier: int) -> tuple[Verdict, str]:
        """``earlier`` workers of this trial have died, in this sweep and in others. With the verdict
        what to say of it, as the end of a sentence that begins with the trial's name."""
        told = f"its worker {event.why}"
        if self.stopped:
            return "stop", told
        key = event.job["key"]
        self._of[key] = self._of.get(key, 0) + 1
        if not event.too_long:
            self._in_a_row += 1
            if self._in_a_row >= self._most:
                self.stopped = (
                    f"{self._in_a_row} workers died one after another and no trial ended in between: "
                    "the machine fails, not the trials, so the sweep stops"
                )
                return "stop", told
            if earlier + 1 >= MOST_TRIES:
                return "failed", f"{told}, the {MOST_TRIES}th to do so; it counts as failed"
            if self._of[key] < TRIES_A_SWEEP:
                return "again", f"{told}; it is run again"
        self.aside.add(key)
        return "aside", f"{told}; it is set aside, and the next sweep runs it again"
