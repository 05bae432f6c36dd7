"""The things that stand by the road and drive on it, and their places at any time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from seesame.scene import sprites
from seesame.scene.camera import Drive
from seesame.scene.layout import Lane, Layout
from seesame.scene.texture import Ripmap


@dataclass(frozen=True)
class Thing:
    """A standing picture facing the camera: where, how big, which texture."""

    ahead: float
    across: float
    wide: float
    low: float
    high: float
    texture: Ripmap


@dataclass(frozen=True)
class Vehicle:
    """Another car: its rear end's place ahead, its lane, direction, size and pictures."""

    ahead: float
    across: float
    direction: int
    size: tuple[float, float, float]
    rear: Ripmap
    front: Ripmap
    side: Ripmap


class Stock:
    """All pictures of one drive and the rules where they stand.

    The things by the road stand in cells of fixed length, each drawn from the seed and the
    cell's number, so that any stretch of road can be asked for.
    """

    CELL = 24.0

    def __init__(self, layout: Layout, drive: Drive, seed: int) -> None:
        self.layout, self.drive, self.seed = layout, drive, seed
        rng = np.random.default_rng([seed, 31])
        self.trees = [sprites.tree(rng, layout.leaf) for _ in range(5)]
        self.bushes = [sprites.bush(rng, layout.leaf) for _ in range(3)]
        self.signs = [sprites.sign(rng) for _ in range(4)]
        self.post, self.lamp = sprites.post(False), sprites.post(True)
        self.decks = [sprites.deck(False), sprites.deck(True)]
        self.cars = [sprites.car(rng, False) for _ in range(6)]
        self.trucks = [sprites.car(rng, True) for _ in range(2)]
        self.lamps = bool(rng.random() < 0.3)
        self.left = min(low for low, _ in layout.roads)
        self.right = max(high for _, high in layout.roads)
        self._cell = cache(self._draw_cell)
        self._slot = cache(self._draw_slot)

    def _draw_cell(self, cell: int) -> tuple[tuple[float, Thing], ...]:
        """Return things of one cell, each with its place along the road; ``ahead`` is still 0."""
        rng = np.random.default_rng([self.seed, 41, cell + 10_000])
        layout = self.layout
        out: list[tuple[float, Thing]] = []

        def put(s: float, across: float, wide: float, tall: float, texture: Ripmap) -> None:
            out.append((s, Thing(0.0, across, wide, 0.0, tall, texture)))

        if layout.overpass and cell % 45 == self.seed % 45:
            middle, wide = (self.left + self.right) / 2, self.right - self.left + 90
            for k, gap in ((0, 0.0), (1, 11.0)):
                at = cell * self.CELL + gap
                out.append((at, Thing(0.0, middle, wide, 5.2, 6.6, self.decks[k])))
                put(at, self.left - 4, 1.0, 5.3, self.decks[k])
                put(at, self.right + 4, 1.0, 5.3, self.decks[k])
        for side, edge in ((-1, self.left), (1, self.right)):
            blocked = any(k == "wall" and (a - edge) * side > 0 for k, a, _ in layout.barriers)
            for chance, count, kind in (
                (layout.trees, 3, "tree"),
                (layout.bushes, 3, "bush"),
                (layout.signs * 0.25, 1, "sign"),
            ):
                for _ in range(count):
                    if rng.random() >= chance:
                        continue
                    s = cell * self.CELL + rng.uniform(0, self.CELL)
                    if kind == "tree":
                        off = rng.uniform(9 if blocked else 4.5, 30)
                        tall = rng.uniform(4, 12)
                        picture = self.trees[int(rng.integers(0, 5))]
                        put(s, edge + side * off, tall * rng.uniform(0.7, 1.1), tall, picture)
                    elif kind == "bush" and not blocked:
                        tall = rng.uniform(0.5, 1.8)
                        picture = self.bushes[int(rng.integers(0, 3))]
                        put(s, edge + side * rng.uniform(2.5, 14), tall * 2.2, tall, picture)
                    elif kind == "sign":
                        tall = rng.uniform(2.2, 3.4)
                        picture = self.signs[int(rng.integers(0, 4))]
                        put(s, edge + side * rng.uniform(1.5, 3.5), tall * 0.42, tall, picture)
            if layout.posts > 0.4 and cell % 2 == 0:
                put(cell * self.CELL, edge + side * 1.0, 0.14, 1.0, self.post)
            if self.lamps and cell % 2 == (side > 0):
                put(cell * self.CELL + 7, edge + side * 1.8, 2.6, 9.0, self.lamp)
        return tuple(out)

    def things(self, along: float, reach: float) -> Iterator[Thing]:
        """Return what stands by the road up to ``reach`` metres ahead of ``along``."""
        first = math.floor(along / self.CELL)
        for cell in range(first, math.ceil((along + reach) / self.CELL)):
            for s, thing in self._cell(cell):
                if 1.0 < s - along < reach:
                    yield replace(thing, ahead=s - along)

    def _draw_slot(self, lane: int, slot: int) -> tuple[bool, float, float, int, bool]:
        """Return one place in a lane's stream: taken, jitter, sideways, which car, truck."""
        rng = np.random.default_rng([self.seed, 51, lane, slot + 100_000])
        truck = bool(rng.random() < 0.12)
        return (
            bool(rng.random() < 0.8),
            float(rng.uniform(-0.25, 0.25)),
            float(rng.normal(0, 0.15)),
            int(rng.integers(0, 2 if truck else 6)),
            truck,
        )

    def vehicles(self, time: float, along: float, reach: float) -> Iterator[Vehicle]:
        """Yield the other cars at ``time`` from a little behind to ``reach`` metres ahead."""
        for number, lane in enumerate(self.layout.lanes):
            flow = self._flow(lane, time)
            first = math.floor((along - 12 - flow) / lane.spacing)
            for slot in range(first, math.ceil((along + reach - flow) / lane.spacing) + 1):
                taken, jitter, aside, which, truck = self._slot(number, slot)
                if not taken:
                    continue
                ahead = (slot + jitter) * lane.spacing + flow - along
                rear, front, side, size = (self.trucks if truck else self.cars)[which]
                if lane.own and ahead < 7 + 0.25 * self.drive.speed:
                    continue
                if -12 < ahead < reach:
                    across = lane.across + aside
                    yield Vehicle(ahead, across, lane.direction, size, rear, front, side)

    def _flow(self, lane: Lane, time: float) -> float:
        """Return how far a lane's stream has moved."""
        gone = float(self.drive.travelled(time))
        sway = 2.0 * math.sin(0.23 * time + 9 * lane.phase)
        if lane.own:
            return gone + sway + lane.phase * lane.spacing
        if lane.direction > 0:
            return lane.pace * gone + sway + lane.phase * lane.spacing
        return -lane.pace * self.drive.speed * time + lane.phase * lane.spacing
