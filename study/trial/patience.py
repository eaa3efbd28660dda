"""When a training that no longer gets better is ended before its updates are used."""


class Patience:
    """Ends after ``evaluations`` looks in a row without a lower validation loss; 0: never."""

    def __init__(self, evaluations: int, loss: float) -> None:
        self._evaluations, self._lowest, self._looks = evaluations, loss, 0

    def look(self, loss: float) -> None:
        """At the loss of one more evaluation; NaN is no lower one."""
        if loss < self._lowest or self._lowest != self._lowest:
            self._lowest, self._looks = loss, 0
        else:
            self._looks += 1

    @property
    def is_over(self) -> bool:
        return 0 < self._evaluations <= self._looks
