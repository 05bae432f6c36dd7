"""What is told of a search while it goes on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seesame.jobs.runner import Result
    from seesame.jobs.trial import Trial
    from seesame.runlog import RunLog
    from seesame.search.goal import Goal


class Heard:
    """Follows a search: progress, the log, and what encoders refused."""

    def __init__(self, goal: "Goal", total: int, bar: Any, log: "RunLog") -> None:
        self.goal, self.total, self.bar, self.log = goal, total, bar, log
        self.numbers: dict[str, int] = {}
        self.refused: list[str] = []
        self.best: Trial | None = None
        self.count = 0
        self.on_whole = False

    def whole(self, result: "Result") -> None:
        """A result on the whole clip, after a search on a sample: that one's best is forgotten."""
        if not self.on_whole:
            self.on_whole, self.best = True, None
            self.log.stage("on the whole clip")
        self(result)

    def note(self, trial: "Trial") -> None:
        """A line of the log; whether it is the best so far by the goal."""
        known = [one for one in (self.best, trial) if one is not None]
        self.best = self.goal.best(known)
        excess = self.goal.limits.excess(trial.score, trial.bytes)
        best = self.best is trial
        self.numbers[str(trial)] = self.log.candidate(trial.score, trial.bytes, excess, best)

    def ended(self, best: "Trial") -> None:
        """The log's last line."""
        number = self.numbers.get(str(best))
        figures = {"bytes": best.bytes, "score": best.score.total}
        self.log.write("end", why="finished", number=number, **figures)

    def __call__(self, result: "Result") -> None:
        self.count += 1
        codec, settings = result.wanted
        if result.trial is None:
            self.refused.append(f"{codec} {settings}: {result.why}")
            return
        self.note(result.trial)
        assert self.best is not None
        figures = f"{self.best.codec} score {self.best.score.total:.4f}, {self.best.bytes:,} bytes"
        self.bar(min(1.0, self.count / self.total), f"{self.count} trials, best {figures}")
