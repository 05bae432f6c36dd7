"""Checkpoints of a training run: safetensors and JSON in a work folder, replaced atomically."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from seesame.errors import UserError
from seesame.files import replacing
from seesame.temporary import remove_dead

NAME = "checkpoint.safetensors"


class Stateful(Protocol):
    """Anything whose whole state can be taken and given back."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state: tensors, plain values, and mappings of both by names without dots."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> Any:
        """Take a state back."""


class Checkpoint:
    """One checkpoint in a folder.

    Args:
        folder: made when the first checkpoint is saved.
        identity: what must agree for a checkpoint to be resumed (settings, clip, stack).
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        self.identity = json.loads(json.dumps(identity))

    @property
    def exists(self) -> bool:
        """True where there is one to resume."""
        return self.path.exists()

    def save(self, run: Stateful) -> None:
        """Write the whole state of a run."""
        tensors: dict[str, Tensor] = {}
        plain = _take_tensors(run.state_dict(), "", tensors)
        meta = {"identity": json.dumps(self.identity), "state": json.dumps(plain)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path, overwrite=True) as temporary:
            save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=meta)

    def load(self, run: Stateful) -> None:
        """Restore a run.

        Raises:
            UserError: the checkpoint is damaged, or belongs to another clip, stack or settings.
        """
        try:
            with safe_open(self.path, "pt") as file:
                meta = file.metadata() or {}
            tensors = load_file(self.path)
            identity, plain = json.loads(meta["identity"]), json.loads(meta["state"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise UserError(f"{self.path}: not a readable checkpoint; remove it") from error
        if identity != self.identity:
            names = [*self.identity, *(name for name in identity if name not in self.identity)]
            other = [name for name in names if identity.get(name) != self.identity.get(name)]
            raise UserError(
                f"{self.path}: belongs to an encode with another {', '.join(other)}; remove it, "
                "or start without resuming"
            )
        run.load_state_dict(_give_tensors(plain, "", tensors))

    def remove(self) -> None:
        """Remove the checkpoint, what killed runs left of it, and its folder if it is empty."""
        self.path.unlink(missing_ok=True)
        remove_dead(self.path.parent)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()


def _take_tensors(state: Mapping[str, Any], path: str, tensors: dict[str, Tensor]) -> Any:
    """Return a state with every tensor replaced by null, and the tensors by their paths."""
    plain: dict[str, Any] = {}
    for name, value in state.items():
        place = f"{path}/{name}"
        if isinstance(value, Tensor):
            tensors[place], plain[name] = value, None
        elif isinstance(value, Mapping):
            plain[name] = _take_tensors(value, place, tensors)
        else:
            plain[name] = value
    return plain


def _give_tensors(plain: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    """Undo :func:`_take_tensors`."""
    if isinstance(plain, dict):
        return {name: _give_tensors(v, f"{path}/{name}", tensors) for name, v in plain.items()}
    return tensors.get(path, plain)
