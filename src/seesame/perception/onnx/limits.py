"""The bounds on what a stranger's net may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetLimits:
    """The bounds of one net.

    Attributes:
        memory: bytes that the process may take beyond what it has when it starts. The values of
            the converted graph may take as many at one time.
        outputs: bytes of the outputs of one request, which this process reads.
        memory_share: times the size of the file that the process may take besides.
        seconds: that a request may take, both by the clock and on the cores. The converted graph
            may take as many on the cores when it is compared with onnxruntime.
        more_seconds: times the seconds of a frame that each frame may take besides; frames do not
            all take as long.
        stalled: times the limit by the clock at which a process that does not use the cores is
            given up.
        poll: seconds between two looks at the clock.
    """

    memory: int = 768 << 20
    outputs: int = 256 << 20
    memory_share: int = 4
    seconds: float = 6.0
    more_seconds: float = 20.0
    stalled: float = 12.0
    poll: float = 0.5


LIMITS = NetLimits()
