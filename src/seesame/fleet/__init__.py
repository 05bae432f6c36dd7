"""Many clips: every one compressed, judged and recorded once, whatever is killed meanwhile.

:func:`~seesame.fleet.driver.run_batch` takes a plan (:mod:`~seesame.fleet.plan`), gives its clips
to worker processes (:mod:`~seesame.fleet.pool`), and keeps what became of each in the target
(:mod:`~seesame.fleet.state`), from which the catalogue is made (:mod:`~seesame.fleet.catalogue`).
"""
