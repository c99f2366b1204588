"""Pace: how fast a run that is watched has been in the last minutes, from one status to the next."""

from collections import deque

STEP_SECONDS = 2.0  # shorter steps are mostly noise
STEPS = 30
LEVELS = "▁▂▃▄▅▆▇█"


class Pace:
    """Rates of the last `STEPS` steps, in images a second."""

    def __init__(self) -> None:
        self.rates: deque[float] = deque(maxlen=STEPS)
        self._last: tuple[float, int] | None = None

    def add(self, seconds: float, processed: int) -> None:
        """How many images are done or failed at a moment, in seconds of any clock that does not go back."""
        if self._last is None:
            self._last = (seconds, processed)
            return
        passed = seconds - self._last[0]
        if passed >= STEP_SECONDS:
            self.rates.append(max(0.0, (processed - self._last[1]) / passed))
            self._last = (seconds, processed)

    def drawn(self) -> str:
        """The rates as bars, the latest as a number beside them; empty before there are two."""
        if len(self.rates) < 2:
            return ""
        top = max(self.rates) or 1.0
        bars = "".join(LEVELS[round(rate / top * (len(LEVELS) - 1))] for rate in self.rates)
        return f"{bars} {self.rates[-1]:,.1f} images/s"
