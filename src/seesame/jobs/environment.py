"""Everything beside the clip, the codec and its settings that the figures of a job depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

import av
import torch

import seesame

OUTPUT_VERSION = 3
"""Raise it with every change that makes a codec write other bytes, or a decoder other pixels, for
the same settings: then trials that an older seesame kept are made again. It is part of every key in
the store of trials, beside the package's own version."""

LIBRARIES = (
    "torch",
    "numpy",
    "av",
    "constriction",
    "timm",
    "segmentation-models-pytorch",
    "onnxruntime",
)
"""Libraries that encode, decode or run networks; another version of one may change a figure."""


def environment(device: str, threads: int | None = None) -> dict[str, object]:
    """Return what decides the figures of a job on this machine, as plain JSON values.

    Args:
        device: the torch device where the networks run.
        threads: torch's threads; those of this process when None. Networks on the CPU round
            differently with another number of them.
    """
    return {
        "output": OUTPUT_VERSION,
        "seesame": seesame.__version__,
        "device": _device(torch.device(device), threads or torch.get_num_threads()),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "libav": {name: list(numbers) for name, numbers in av.library_versions.items()},
    }


def _device(device: torch.device, threads: int) -> list[str | int]:
    capability = torch.backends.cpu.get_cpu_capability()
    cpu: list[str | int] = [platform.machine(), capability, threads]
    if device.type == "cuda":
        return [device.type, torch.cuda.get_device_name(device), *cpu]
    return [device.type, *cpu]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
