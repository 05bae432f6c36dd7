"""The settings of a synthetic drive, and a rendered frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

LIGHTS = ("day", "dusk", "night")
ROAD, MARKING, UNDRIVABLE, MOVABLE, OWN_CAR = range(5)


@dataclass(frozen=True)
class SceneConfig:
    """One synthetic drive; everything left at None is drawn from the seed.

    Args:
        width: pixels a row, 2 or more.
        height: rows, 2 or more.
        fps: frames a second.
        seed: 0 or more; the same seed gives the same drive at every size.
        light: ``"day"``, ``"dusk"`` or ``"night"``.
        hood: whether the own car is seen at the bottom.
        speed: mean speed in m/s, 0 to 60.
        traffic: how dense the other cars are, 0 (none) to 1.
        noise: whether the sensor's noise is added.

    Raises:
        ValueError: a value is out of its range.
    """

    width: int = 1164
    height: int = 874
    fps: int = 20
    seed: int = 0
    light: str | None = None
    hood: bool | None = None
    speed: float | None = None
    traffic: float | None = None
    noise: bool = True

    def __post_init__(self) -> None:
        if self.width < 2 or self.height < 2:
            raise ValueError(f"a scene needs 2x2 pixels or more, not {self.width}x{self.height}")
        if self.fps < 1 or self.seed < 0:
            raise ValueError("fps must be 1 or more and seed 0 or more")
        if self.light is not None and self.light not in LIGHTS:
            raise ValueError(f"light must be one of {', '.join(LIGHTS)}, not {self.light!r}")
        if self.speed is not None and not 0 <= self.speed <= 60:
            raise ValueError(f"speed must be 0 to 60 m/s, not {self.speed}")
        if self.traffic is not None and not 0 <= self.traffic <= 1:
            raise ValueError(f"traffic must be 0 to 1, not {self.traffic}")


@dataclass(frozen=True)
class SceneFrame:
    """One rendered frame.

    Attributes:
        rgb: ``uint8 (H, W, 3)``.
        mask: ``uint8 (H, W)``, class 0 road, 1 lane markings, 2 undrivable, 3 movable, 4 my car.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
