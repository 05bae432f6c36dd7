"""Checkpoints of a training run: safetensors and JSON in a work folder, replaced atomically."""

import json
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from seesame.errors import UserError
from seesame.files import replacing
from seesame.neural.fitting.divergence import Guard
from seesame.neural.fitting.objective import PoseTerm
from seesame.neural.fitting.optimiser import Optimiser
from seesame.neural.weights.network import QuantisedNetwork

NAME = "checkpoint.safetensors"


class Resumable(Protocol):
    """The parts of a training run that a checkpoint holds."""

    rep: QuantisedNetwork
    optimiser: Optimiser
    random: torch.Generator
    pressure: float
    pressed_at: float
    size: float
    usual_norm: float
    coding: float
    guard: Guard

    @property
    def pose_term(self) -> PoseTerm:
        """The pose's share of the loss, with its running mean."""

    def add_quantizers(self) -> None:
        """Hand the representation's quantisers to the optimiser."""


class Checkpoint:
    """One checkpoint in a folder.

    Args:
        folder: made when the first checkpoint is saved.
        identity: what must agree for a checkpoint to be resumed (settings, clip, stack).
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.path = folder / NAME
        self.identity = json.dumps(identity, sort_keys=True)

    def save(self, training: Resumable, share: float) -> None:
        """Write the whole state of a run."""
        tensors = {f"rep.{k}": v for k, v in training.rep.state_dict().items()}
        tensors |= {f"optimiser.{k}": v for k, v in training.optimiser.tensors().items()}
        tensors["random"] = training.random.get_state()
        meta = {
            "identity": self.identity,
            "share": repr(share),
            "pressure": repr(training.pressure),
            "pressed_at": repr(training.pressed_at),
            "size": repr(training.size),
            "usual_norm": repr(training.usual_norm),
            "coding": repr(training.coding),
            "gentleness": repr(training.guard.gentleness),
            "pose": repr(training.pose_term.mean),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path, overwrite=True) as temporary:
            save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=meta)

    def load(self, training: Resumable) -> float | None:
        """Restore a run; returns the share it had reached, or None when there is no checkpoint.

        Raises:
            UserError: the checkpoint is damaged or belongs to another clip, stack or settings.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                meta = file.metadata() or {}
            tensors = load_file(self.path)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{self.path}: not a readable checkpoint; remove it") from error
        if meta.get("identity") != self.identity:
            raise UserError(
                f"{self.path}: belongs to another clip, stack or settings; "
                "remove it or leave out --resume"
            )
        state = {k[4:]: v for k, v in tensors.items() if k.startswith("rep.")}
        if any(k.startswith("quantizers.") for k in state):
            training.rep.start_quantising()
            training.add_quantizers()
        training.rep.load_state_dict(state)
        moments = {k[10:]: v for k, v in tensors.items() if k.startswith("optimiser.")}
        training.optimiser.load_tensors(moments)
        training.random.set_state(tensors["random"])
        training.pressure = float(meta["pressure"])
        training.pressed_at = float(meta["pressed_at"])
        training.size = float(meta["size"])
        training.usual_norm = float(meta["usual_norm"])
        training.coding = float(meta["coding"])
        training.guard.gentleness = float(meta["gentleness"])
        training.pose_term.mean = None if meta["pose"] == "None" else float(meta["pose"])
        return float(meta["share"])

    def remove(self) -> None:
        """Remove the checkpoint, and its folder when that leaves it empty."""
        self.path.unlink(missing_ok=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()
