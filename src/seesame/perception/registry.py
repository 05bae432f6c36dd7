"""Finding a stack or a judge by its name: ``lite``, ``comma``, ``onnx:DIR``, ``module:attr``.

Importing this module imports no network library, so that stacks can be listed quickly.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seesame.errors import UserError
from seesame.inputs import user_folder
from seesame.perception.comma.fetch import available
from seesame.perception.judge import Judge
from seesame.perception.stack import Stack

if TYPE_CHECKING:
    import torch

LIBRARIES = {
    "comma": ("timm", "segmentation_models_pytorch"),
    "onnx": ("onnx", "onnxruntime"),
    "judges": ("cv2",),
}
"""The libraries of each extra."""
MEMBERS = (
    "name",
    "fingerprint",
    "classes",
    "input_size",
    "has_pose",
    "judged",
    "differentiable",
    "segment",
    "pose",
    "to",
)
"""The members that every stack must have; see :class:`~seesame.perception.stack.Stack`."""


class StackInfo(NamedTuple):
    """One line of the list of stacks."""

    name: str
    summary: str
    available: bool
    hint: str
    """The remedy when it is not available; empty when it is."""


def load_stack(spec: str, device: "str | torch.device" = "cpu") -> Stack:
    """Load a stack and move it to a device.

    Args:
        spec: ``lite`` (ships with seesame), ``comma`` (the folder that ``seesame fetch comma``
            fills) or ``comma:DIR``, ``onnx:DIR`` (a folder with a ``stack.toml``), or
            ``module:attr``: a stack, or something that makes one when called with no arguments. The
            last imports and runs the user's own code, found as Python finds modules and,
            last, in the current folder.
        device: where its networks are to run.

    Raises:
        UserError: unknown stack, files absent, not a stack, or a device that it cannot go to.
        MissingExtraError: a library is absent; the message says what to install.
    """
    stack = _load(spec)
    import torch

    try:
        return stack.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"the {spec} stack cannot go to the device {device}: {_first_line(error)}"
        ) from error


def load_judge(spec: str, device: "str | torch.device" = "cpu") -> Stack | Judge:
    """Load what only measures: a stack, or a judge of another kind.

    Args:
        spec: ``flow`` (optical flow and motion), ``onnx:DIR`` with a detector's ``stack.toml``, or
            any stack that :func:`load_stack` takes.
        device: where a stack's networks are to run; the other judges run on the CPU.

    Raises:
        UserError: as :func:`load_stack`.
        MissingExtraError: a library is absent; the message says what to install.
    """
    kind, _, rest = spec.partition(":")
    if spec == "flow":
        from seesame.perception.flow import FlowJudge

        return FlowJudge()
    if kind == "onnx" and rest:
        from seesame.perception.onnx.config import read_config
        from seesame.perception.onnx.detector.config import DetectConfig
        from seesame.perception.onnx.detector.judge import Detector

        folder = user_folder(rest)
        config = read_config(folder)
        if isinstance(config, DetectConfig):
            return Detector.load(folder, config)
    return load_stack(spec, device)


def _load(spec: str) -> Stack:
    kind, _, rest = spec.partition(":")
    folder = user_folder(rest) if rest else None
    if kind == "lite" and folder is None:
        from seesame.perception.lite.stack import LiteStack

        return LiteStack.load()
    if kind == "comma":
        from seesame.perception.comma.stack import CommaStack

        return CommaStack.load(folder)
    if kind == "onnx":
        if folder is None:
            raise UserError("the onnx stack needs a folder with a stack.toml; say onnx:DIR")
        from seesame.perception.onnx.stack import OnnxStack

        return OnnxStack.load(folder)
    if kind and rest:
        return _own(kind, rest)
    if spec == "flow":
        raise UserError("flow is a judge, not a stack: it can only judge files that a stack scored")
    raise UserError(
        f"unknown stack {spec!r}; use lite, comma, onnx:DIR or module:attr "
        "(to list them: seesame stacks)"
    )


def stacks() -> list[StackInfo]:
    """Return the kinds of stacks, whether each can be used now, and what to do if not."""
    files = "" if available() else "its networks are not there; run: seesame fetch comma"
    listed = (
        ("lite", "small networks that ship with seesame: five classes, six pose values", ""),
        (
            "comma",
            "the comma.ai challenge's own networks (or comma:DIR)",
            _install_hint("comma") or files,
        ),
        ("onnx:DIR", "your ONNX networks, described by a stack.toml", _install_hint("onnx")),
        ("module:attr", "your own Python object that is a stack", ""),
        (
            "flow",
            "only a judge: optical flow and the camera's motion, without weights",
            _install_hint("judges"),
        ),
    )
    return [StackInfo(name, summary, not hint, hint) for name, summary, hint in listed]


def complete_stack(found: Any, name: str) -> Stack:
    """Check that an object is a stack, and give it the optional members that it lacks.

    Args:
        found: any object.
        name: what errors call it.

    Returns:
        The object itself.

    Raises:
        UserError: it lacks a member that has no default, or its input size is no size.
    """
    missing = _missing(found)
    if missing:
        raise UserError(
            f"{name} is not a stack: it lacks {', '.join(missing)} (see docs/stacks.md)"
        )
    size = found.input_size
    if not (isinstance(size, tuple) and len(size) == 2 and all(n > 0 for n in size)):
        raise UserError(f"{name}: input_size must be (height, width), not {size!r}")
    for member in ("shared_input", "challenge_rule"):
        if not hasattr(found, member):
            try:
                setattr(found, member, getattr(Stack, member))
            except AttributeError as error:
                raise UserError(f"{name} is not a stack: it lacks {member}") from error
    stack: Stack = found
    return stack


def _missing(found: Any) -> Sequence[str]:
    return [member for member in MEMBERS if not hasattr(found, member)]


def _install_hint(extra: str) -> str:
    """Return what to run where a library of an extra is absent, else nothing."""
    absent = any(importlib.util.find_spec(library) is None for library in LIBRARIES[extra])
    return f"run: pip install 'seesame[{extra}]'" if absent else ""


def _own(module_name: str, attribute: str) -> Stack:
    """Return the user's own object, or what it returns when it is called."""
    spec = f"{module_name}:{attribute}"
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.split(".")[0] != error.name.split(".")[0]:
            raise UserError(f"{spec}: the module {module_name} needs {error.name}") from error
        raise UserError(
            f"no stack or Python module called {module_name!r} (to list stacks: seesame stacks)"
        ) from error
    except Exception as error:
        raise UserError(f"{spec}: importing it failed: {_named_line(error)}") from error
    finally:
        sys.path.remove(here)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UserError(f"{spec}: the module {module_name} has no {attribute}")
        found = getattr(found, part)
    if callable(found) and (isinstance(found, type) or _missing(found)):
        try:
            found = found()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{spec}: making the stack failed: {_named_line(error)}") from error
    return complete_stack(found, spec)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")


def _named_line(error: Exception) -> str:
    return f"{type(error).__name__}: {_first_line(error)}"
