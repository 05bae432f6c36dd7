"""Progress and log of a search while it goes on."""

from seesame.context import Progress
from seesame.jobs.runner import Result
from seesame.jobs.trial import Trial
from seesame.runlog import RunLog
from seesame.search.goal import Goal


class Tracker:
    """Follows a search: its progress, its log, and what encoders refused.

    Args:
        goal: decides which trial is best.
        total: trials that are expected.
        bar: called with the share done and a short text.
        log: gets a line for each trial.
    """

    def __init__(self, goal: Goal, total: int, bar: Progress, log: RunLog) -> None:
        self.goal, self.total, self.bar, self.log = goal, total, bar, log
        self.refused: list[str] = []
        """The settings that encoders refused, and why."""
        self.best: Trial | None = None
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._on_whole = False

    def whole(self, result: Result) -> None:
        """Take a result on the whole clip after a search on a sample, whose best is forgotten."""
        if not self._on_whole:
            self._on_whole, self.best = True, None
            self.log.stage("on the whole clip")
        self(result)

    def note(self, trial: Trial) -> None:
        """Write a trial to the log, and whether it is the best so far by the goal."""
        known = [one for one in (self.best, trial) if one is not None]
        self.best = self.goal.best(known)
        excess = self.goal.excess(trial)
        best = self.best is trial
        self._numbers[str(trial)] = self.log.candidate(trial.score, trial.bytes, excess, best)

    def ended(self, best: Trial) -> None:
        """Write the log's last line."""
        number = self._numbers.get(str(best))
        figures = {"bytes": best.bytes, "score": best.score.total}
        self.log.write("end", why="finished", number=number, **figures)

    def __call__(self, result: Result) -> None:
        self._count += 1
        codec, settings = result.wanted
        if result.trial is None:
            self.refused.append(f"{codec} {settings}: {result.why}")
            return
        self.note(result.trial)
        assert self.best is not None
        figures = f"{self.best.codec} score {self.best.score.total:.4f}, {self.best.bytes:,} bytes"
        self.bar(min(1.0, self._count / self.total), f"{self._count} trials, best {figures}")
