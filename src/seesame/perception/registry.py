"""Finding a stack by its name: ``lite``, ``comma``, ``onnx:DIR`` or ``module:attr``."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seesame.errors import UserError
from seesame.perception.comma import stack as comma
from seesame.perception.comma.fetch import models_folder
from seesame.perception.onnx import stack as onnx
from seesame.perception.stack import Stack

EXACT = True
"""Which nets score by default, in every command."""
COMMA_LIBRARIES = ("timm", "segmentation_models_pytorch")
ONNX_LIBRARIES = ("onnx", "onnxruntime")
PARTS = (
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
"""What a stack must have; see ``stack.py``."""


class StackInfo(NamedTuple):
    """One line of the list of stacks."""

    name: str
    summary: str
    available: bool
    hint: str
    """What to do when it is not available; empty when it is."""


def load_stack(
    spec: str, device: str | torch.device = "cpu", *, exact: bool | None = None
) -> Stack:
    """Load a stack and move it to a device.

    Args:
        spec: ``lite`` (ships with seesame), ``comma`` (the folder that ``seesame fetch comma``
            fills) or ``comma:DIR``, ``onnx:DIR`` (a folder with a ``stack.toml``), or
            ``module:attr``: a stack, or something that makes one when called with no arguments.
            The last imports and runs the user's own code, found as Python finds modules and,
            last, in the current folder.
        device: where its nets are to run.
        exact: of ``comma`` only: whether scores on the CPU come from the plain nets, as in the
            challenge, or from faster ones that round differently; :data:`EXACT` when None.
            Training uses the plain nets in either case.

    Raises:
        UserError: unknown stack, files or libraries absent, not a stack; with what to do.
    """
    use_exact = EXACT if exact is None else exact
    kind, _, rest = spec.partition(":")
    if kind == "lite" and not rest:
        from seesame.perception.lite.stack import LiteStack

        stack: Stack = LiteStack.load()
    elif kind == "comma":
        stack = comma.CommaStack.load(Path(rest).expanduser() if rest else None, use_exact)
    elif kind == "onnx":
        if not rest:
            raise UserError("the onnx stack needs a folder with a stack.toml; say onnx:DIR")
        stack = onnx.OnnxStack.load(Path(rest).expanduser())
    elif kind and rest:
        stack = _own(kind, rest)
    else:
        raise UserError(
            f"unknown stack {spec!r}; use lite, comma, onnx:DIR or module:attr "
            "(to list them: seesame stacks)"
        )
    try:
        return stack.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        text = str(error).splitlines()[0]
        raise UserError(f"the {spec} stack cannot go to the device {device}: {text}") from error


def stacks() -> list[StackInfo]:
    """The kinds of stacks, whether each can be used now, and what to do if not."""
    lite = _found(["seesame.perception.lite.stack"])
    comma_hint = _install_hint("comma", COMMA_LIBRARIES)
    if not comma_hint and not comma.available():
        comma_hint = f"no nets in {models_folder()}; run: seesame fetch comma"
    onnx_hint = _install_hint("onnx", ONNX_LIBRARIES)
    return [
        StackInfo(
            "lite",
            "small nets that ship with seesame: five classes, six pose values",
            lite,
            "" if lite else "not part of this installation; install seesame again",
        ),
        StackInfo(
            "comma", "the comma.ai challenge's own nets (or comma:DIR)", not comma_hint, comma_hint
        ),
        StackInfo("onnx:DIR", "your ONNX nets beside a stack.toml", not onnx_hint, onnx_hint),
        StackInfo("module:attr", "your own Python object that is a stack", True, ""),
    ]


def _found(modules: Sequence[str]) -> bool:
    try:
        return all(importlib.util.find_spec(module) is not None for module in modules)
    except ModuleNotFoundError:
        return False


def _install_hint(extra: str, libraries: Sequence[str]) -> str:
    return "" if _found(libraries) else f"run: pip install 'seesame[{extra}]'"


def _own(module_name: str, attribute: str) -> Stack:
    """The user's own object, or what it returns when called."""
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
        raise UserError(f"{spec}: importing it failed: {_first_line(error)}") from error
    finally:
        sys.path.remove(here)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UserError(f"{spec}: the module {module_name} has no {attribute}")
        found = getattr(found, part)
    if callable(found) and (isinstance(found, type) or not isinstance(found, Stack)):
        try:
            found = found()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{spec}: making the stack failed: {_first_line(error)}") from error
    return _checked(spec, found)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


def _checked(spec: str, found: Any) -> Stack:
    missing = [part for part in PARTS if not hasattr(found, part)]
    if missing:
        raise UserError(
            f"{spec} is not a stack: it lacks {', '.join(missing)} (see docs/stacks.md)"
        )
    stack: Stack = found
    size = stack.input_size
    if not (isinstance(size, tuple) and len(size) == 2 and all(n > 0 for n in size)):
        raise UserError(f"{spec}: input_size must be (height, width), not {size!r}")
    return stack
