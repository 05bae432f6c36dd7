"""One clip's work as data: encode, write, read back from disk, judge.

A :class:`~seesame.jobs.spec.Job` is plain and picklable. :func:`~seesame.jobs.workbench.run_job`
does one, from opening the clip to an :class:`~seesame.jobs.spec.Outcome`::

    from seesame.jobs.spec import Job, Source
    from seesame.jobs.workbench import Workbench, run_job

    job = Job(Source(Path("drive.mp4")), "svtav1", {"crf": 40}, stack="lite", out=Path("a.ssm"))
    outcome = run_job(job)
    print(outcome.bytes, outcome.encode_s, outcome.score.total)

Many jobs on one clip share a :class:`~seesame.jobs.workbench.Workbench`, which opens the clip and
the stack once and keeps what the stack gives for the source::

    bench = Workbench(clip, stack)                    # objects; or Workbench.open(job), from data
    for crf in (30, 40, 50):
        outcome = bench.encode("x264", {"crf": crf})  # a temporary file; out=PATH keeps it

This is how a worker of a pool runs it: ``Workbench.open(job)`` once, then ``encode`` for every job
on the same source. ``store.py`` keeps trials in SQLite, and ``runner.py`` makes many of them with
several processes; ``api.py`` is behind ``seesame.compress`` and ``seesame.score``.
"""
