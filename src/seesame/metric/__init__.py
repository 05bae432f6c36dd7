"""Measuring how far a decoded clip is from its source for a stack."""

from seesame.metric.cache import cached_reference_outputs
from seesame.metric.distortion import pose_distortion, seg_distortion
from seesame.metric.evaluator import Evaluation, ReferenceOutputs, evaluate, reference_outputs
from seesame.metric.memory import keep_freed_memory
from seesame.metric.report import json_report, plain_report, text_report
from seesame.metric.score import Score

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
