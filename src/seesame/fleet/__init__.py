"""Many clips: every one compressed, judged and recorded once, whatever is killed meanwhile.

:func:`~seesame.fleet.driver.run_batch` takes a plan (:mod:`~seesame.fleet.plan`) of clips that the
user names (:mod:`~seesame.fleet.sources`), and gives them to an engine
(:mod:`~seesame.fleet.engines`), whose workers do one after the other (:mod:`~seesame.fleet.work`).
What became of each is kept in the target (:mod:`~seesame.fleet.target`), from which the catalogue
and the page (:mod:`~seesame.fleet.page`) are made.
"""
