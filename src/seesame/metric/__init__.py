"""Measuring how far a decoded clip is from its source for a stack.

The names below are imported when they are first used, so that ``seesame.metric.limits`` and
``seesame.metric.score`` can be had without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seesame.metric.distortion import pose_distortion, seg_distortion
    from seesame.metric.evaluator import Evaluation, ReferenceOutputs, evaluate, reference_outputs
    from seesame.metric.memory import keep_freed_memory
    from seesame.metric.report import json_report, plain_report, text_report
    from seesame.metric.score import Score
    from seesame.metric.storage.cache import cached_reference_outputs

__all__ = [
    "Evaluation",
    "ReferenceOutputs",
    "Score",
    "cached_reference_outputs",
    "evaluate",
    "json_report",
    "keep_freed_memory",
    "plain_report",
    "pose_distortion",
    "reference_outputs",
    "seg_distortion",
    "text_report",
]

_MODULES = {
    "Evaluation": "evaluator",
    "ReferenceOutputs": "evaluator",
    "Score": "score",
    "cached_reference_outputs": "storage.cache",
    "evaluate": "evaluator",
    "json_report": "report",
    "keep_freed_memory": "memory",
    "plain_report": "report",
    "pose_distortion": "distortion",
    "reference_outputs": "evaluator",
    "seg_distortion": "distortion",
    "text_report": "report",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
