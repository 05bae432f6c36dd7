"""The things that a seed draws: the road, the things along it, the light and the colours."""

import math
from dataclasses import dataclass, field

import numpy as np

from seesame.scene.camera import Course, Drive, Waves
from seesame.scene.config import LIGHTS, SceneConfig

Colour = tuple[float, float, float]
WHITE: Colour = (0.88, 0.88, 0.86)
YELLOW: Colour = (0.82, 0.60, 0.16)

KINDS = ("motorway", "highway", "country", "street", "forest")


@dataclass(frozen=True)
class Marking:
    """A painted line: where across the road, how wide; ``dash`` of each ``period`` (0 = solid)."""

    across: float
    width: float
    colour: Colour
    dash: float = 0.0
    period: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True)
class Lane:
    """A lane of other cars: centre, direction (+1 same, -1 oncoming), spacing, relative pace."""

    across: float
    direction: int
    spacing: float
    pace: float
    phase: float
    own: bool = False


@dataclass
class Layout:
    """Everything fixed over one drive; metres, colours 0..1 as displayed."""

    kind: str = "highway"
    light: str = "day"
    roads: list[tuple[float, float]] = field(default_factory=list)
    markings: list[Marking] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    own: float = 0.0
    lane_width: float = 3.6
    edges: tuple[float, float] = (0.0, 0.0)
    barriers: list[tuple[str, float, float]] = field(default_factory=list)  # kind, across, height
    forests: list[tuple[float, float]] = field(default_factory=list)  # across, height
    trees: float = 0.3
    bushes: float = 0.3
    posts: float = 0.3
    signs: float = 0.2
    overpass: bool = False
    shade: float = 0.0
    asphalt: Colour = (0.4, 0.4, 0.4)
    rough: float = 0.06
    ragged: float = 0.03
    seams: float = 0.0
    verge: tuple[Colour, Colour] = ((0.3, 0.4, 0.2), (0.4, 0.45, 0.25))
    leaf: Colour = (0.2, 0.3, 0.12)
    lamp: Colour = (1.0, 1.0, 1.0)
    zenith: Colour = (0.3, 0.5, 0.8)
    horizon: Colour = (0.75, 0.83, 0.9)
    cloud: float = 0.3
    haze: float = 2500.0
    hills: float = 0.03
    hood: bool = True
    hood_top: float = 0.76
    hood_shine: float = 0.2
    hood_colour: Colour = (0.07, 0.08, 0.1)
    gain: Colour = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    vignette: float = 0.25
    noise: float = 0.008
    blur: float = 0.3
    focal: float = 910.0


def _colour(rng: np.random.Generator, base: Colour, spread: float) -> Colour:
    level = 1 + rng.normal(0, spread)
    r, g, b = (max(0.01, c * level * (1 + rng.normal(0, spread * 0.4))) for c in base)
    return r, g, b


def draw(config: SceneConfig) -> tuple[Layout, Drive]:
    """Draw the layout and the drive of a seed."""
    rng = np.random.default_rng([config.seed, 11])
    out = Layout()
    out.kind = str(rng.choice(KINDS, p=[0.34, 0.24, 0.18, 0.12, 0.12]))
    light = str(rng.choice(LIGHTS, p=[0.68, 0.14, 0.18]))
    out.light = light if config.light is None else config.light
    _draw_road(rng, out, config)
    _draw_sides(rng, out)
    _draw_colours(rng, out)
    _draw_picture(rng, out, config)
    return out, _draw_motion(rng, out, config)


def _draw_road(rng: np.random.Generator, out: Layout, config: SceneConfig) -> None:
    divided = out.kind in ("motorway", "highway")
    bounds = {"motorway": (2, 6), "highway": (2, 4), "street": (1, 3)}
    drawn = {kind: int(rng.integers(*bound)) for kind, bound in bounds.items()}
    lanes = drawn.get(out.kind, 1)
    wide = rng.uniform(3.3, 3.9) if divided else rng.uniform(2.7, 3.6)
    out.lane_width = wide
    own = int(rng.integers(0, lanes))
    out.own = (own + 0.5) * wide
    left, right = rng.uniform(0.6, 3.0), rng.uniform(1.0, 3.6)
    if not divided:
        left, right = 0.3, rng.uniform(0.2, 1.2)
    line = rng.uniform(0.1, 0.2)
    dash = float(rng.choice([3.0, 3.05, 6.0, 2.5]))
    period = dash * float(rng.choice([2.0, 3.0, 4.0]))
    yellow = rng.random() < 0.75
    white_edges = rng.random() < (0.95 if divided else 0.7)
    traffic = float(rng.beta(1.2, 2.0)) if config.traffic is None else config.traffic
    gap = 14 + 220 * (1 - traffic) ** 2 + (1000 * (0.03 - traffic) / 0.03 if traffic < 0.03 else 0)
    for lane in range(1, lanes):
        out.markings.append(
            Marking(lane * wide, line * rng.uniform(0.8, 1.1), WHITE, dash, period, dash * lane)
        )
    if white_edges:
        out.markings.append(Marking(lanes * wide - 0.05, line * 1.1, WHITE))
    for lane in range(lanes):
        mine = lane == own
        if traffic > 0:
            pace = 1.0 if mine else rng.uniform(0.85, 1.12)
            spacing = gap * rng.uniform(0.8, 1.6)
            out.lanes.append(Lane((lane + 0.5) * wide, 1, spacing, pace, rng.uniform(0, 1), mine))
    if divided:
        out.markings.append(Marking(0.05, line * 1.1, YELLOW if yellow else WHITE))
        out.roads.append((-left, lanes * wide + right))
        median = rng.uniform(1.0, 14.0)
        start = -left - median
        out.roads.append((start - lanes * wide - left - right, start))
        for lane in range(lanes + 1):
            solid = lane in (0, lanes)
            colour = YELLOW if lane == 0 and yellow else WHITE
            at = start - left - lane * wide
            out.markings.append(Marking(at, line, colour, 0 if solid else dash, period))
        out.edges = (-left, lanes * wide + right)
        if median < 3.0 or rng.random() < 0.35:
            kind = str(rng.choice(["concrete", "rail"]))
            out.barriers.append((kind, -left - min(0.4, median / 2), 0.8))
        far = start - left
    else:
        if rng.random() < 0.8:
            style = int(rng.integers(0, 3))
            colour = YELLOW if yellow else WHITE
            if style == 0:
                out.markings.append(Marking(-0.13, line, colour))
                out.markings.append(Marking(0.13, line, colour))
            else:
                out.markings.append(Marking(0, line, colour, dash if style == 1 else 0.0, period))
        if white_edges:
            out.markings.append(Marking(-lanes * wide + 0.05, line, WHITE))
        out.roads.append((-lanes * wide - right, lanes * wide + right))
        out.edges = out.roads[0]
        far = 0.0
    for lane in range(lanes):
        if traffic > 0:
            spacing = 1.6 * gap * rng.uniform(0.8, 1.6)
            pace = rng.uniform(0.9, 1.15)
            out.lanes.append(Lane(far - (lane + 0.5) * wide, -1, spacing, pace, rng.uniform(0, 1)))


def _draw_sides(rng: np.random.Generator, out: Layout) -> None:
    left = min(low for low, _ in out.roads)
    right = max(high for _, high in out.roads)
    for side, edge in ((-1, left), (1, right)):
        if out.kind == "street" and rng.random() < 0.75:
            out.barriers.append(("houses", edge + side * rng.uniform(5, 11), rng.uniform(6, 11)))
        chance = rng.random()
        limits = {"motorway": (0.35, 0.5, 0.68), "highway": (0.35, 0.4, 0.46)}
        rail, low, wall = limits.get(out.kind, (0.12, 0.14, 0.18))
        at = edge + side * rng.uniform(0.3, 1.5)
        if chance < rail:
            out.barriers.append(("rail", at, 0.75))
        elif chance < low:
            out.barriers.append(("concrete", at, 0.85))
        elif chance < wall:
            out.barriers.append(("wall", at + side * rng.uniform(0.2, 2.5), rng.uniform(2.5, 5.5)))
        elif chance < wall + 0.12 and out.kind != "forest":
            out.barriers.append(("fence", at + side * rng.uniform(2, 5), rng.uniform(1.2, 2.2)))
        if out.kind == "forest":
            out.forests.append((edge + side * rng.uniform(5, 8), rng.uniform(11, 18)))
            out.forests.append((edge + side * rng.uniform(2.5, 4), rng.uniform(1.5, 3.5)))
        elif rng.random() < 0.75:
            out.forests.append((edge + side * rng.uniform(12, 40), rng.uniform(5, 13)))
        if rng.random() < 0.3:
            out.forests.append((edge + side * rng.uniform(5, 12), rng.uniform(1, 2.5)))
    usual = {"forest": 0.9, "street": 0.5, "country": 0.45}.get(out.kind, 0.3)
    out.trees = usual * rng.uniform(0.2, 1.3)
    out.bushes = rng.uniform(0.0, 0.8)
    out.posts = rng.uniform(0.0, 0.8)
    out.signs = rng.uniform(0.0, 0.6)
    out.overpass = out.kind in ("motorway", "highway") and bool(rng.random() < 0.3)
    out.shade = out.trees * rng.uniform(0.2, 1.0) if rng.random() < 0.7 else 0.0
    out.hills = rng.uniform(0.0, 0.09) if rng.random() < 0.6 else 0.01


def _draw_colours(rng: np.random.Generator, out: Layout) -> None:
    grey = rng.uniform(0.24, 0.56)
    out.seams = 1.0 if grey > 0.44 and out.kind != "forest" and rng.random() < 0.7 else 0.0
    warm = rng.normal(0, 0.02)
    out.asphalt = (grey * (1.0 + warm), grey * 1.0, grey * (1.01 - warm))
    out.rough = rng.uniform(0.04, 0.10)
    out.ragged = rng.uniform(0.01, 0.03) if out.kind in ("motorway", "highway") else 0.09
    verges: list[tuple[Colour, Colour]] = [
        ((0.22, 0.31, 0.13), (0.36, 0.42, 0.20)),
        ((0.26, 0.34, 0.15), (0.44, 0.45, 0.26)),
        ((0.52, 0.45, 0.28), (0.66, 0.58, 0.38)),
        ((0.38, 0.29, 0.20), (0.55, 0.43, 0.31)),
        ((0.30, 0.28, 0.16), (0.48, 0.44, 0.28)),
    ]
    low, high = verges[int(rng.integers(0, len(verges)))]
    if out.kind == "forest":
        low, high = verges[int(rng.integers(0, 2))]
    out.verge = (_colour(rng, low, 0.12), _colour(rng, high, 0.12))
    out.leaf = _colour(rng, (0.17, 0.24, 0.10), 0.2)
    clear = rng.random()
    if out.light == "day":
        if clear < 0.5:
            deep = rng.uniform(0.7, 1.1)
            out.zenith = (0.26 * deep, 0.45 * deep, 0.74 * deep)
            out.horizon = _colour(rng, (0.70, 0.80, 0.90), 0.05)
            out.cloud = rng.uniform(0.0, 0.5)
        else:
            grey = rng.uniform(0.6, 0.85)
            out.zenith = (grey * 0.86, grey * 0.92, grey)
            out.horizon = (grey * 1.06, grey * 1.08, grey * 1.1)
            out.cloud = rng.uniform(0.3, 1.0)
            out.shade *= 0.2
    elif out.light == "dusk":
        out.zenith = _colour(rng, (0.16, 0.24, 0.46), 0.15)
        out.horizon = _colour(rng, (0.80, 0.55, 0.42) if clear < 0.5 else (0.5, 0.52, 0.62), 0.1)
        out.cloud, out.shade = rng.uniform(0.2, 0.9), 0.0
    else:
        glow = rng.uniform(0.3, 1.5)
        amber, power = rng.uniform(0.0, 0.45), rng.uniform(0.6, 1.3)
        out.lamp = (power, power * (1 - 0.5 * amber), power * (1 - amber))
        out.zenith, out.horizon = (0.012, 0.012, 0.02), (0.05 * glow, 0.04 * glow, 0.045 * glow)
        out.cloud, out.shade = 0.2, 0.0
    out.haze = math.exp(rng.uniform(math.log(400), math.log(4000)))


def _draw_picture(rng: np.random.Generator, out: Layout, config: SceneConfig) -> None:
    out.hood = bool(rng.random() < 0.7)
    if config.hood is not None:
        out.hood = config.hood
    out.hood_top = rng.uniform(0.70, 0.80)
    out.hood_shine = rng.uniform(0.0, 0.5)
    tone = rng.uniform(0.03, 0.16)
    out.hood_colour = (tone * 0.85, tone * 0.95, tone * 1.15)
    warm = rng.normal(0, 0.05)
    expose = {"day": rng.uniform(0.65, 1.2), "dusk": rng.uniform(0.6, 1.1), "night": 1.0}[out.light]
    out.gain = (expose * (1 + warm), expose, expose * (1 - warm))
    out.contrast = rng.uniform(0.9, 1.25)
    out.saturation = rng.uniform(0.6, 1.15)
    out.vignette = rng.uniform(0.1, 0.45)
    out.noise = {"day": 0.006, "dusk": 0.012, "night": 0.016}[out.light] * rng.uniform(0.5, 1.5)
    out.blur = rng.uniform(0.0, 0.6)
    usual = 910 / 1164 * config.width
    out.focal = usual if rng.random() < 0.6 else usual * rng.uniform(0.75, 1.3)


def _draw_motion(rng: np.random.Generator, out: Layout, config: SceneConfig) -> Drive:
    bends = {"motorway": 1 / 600, "highway": 1 / 450, "country": 1 / 160, "street": 1 / 300}
    hills = {"motorway": 0.03, "highway": 0.04, "street": 0.03}
    curve = Waves.drawn(rng, bends.get(out.kind, 1 / 130) * rng.uniform(0.05, 1.0), 220, 1400)
    grade = hills.get(out.kind, 0.06) * rng.uniform(0.0, 1.0)
    hill = Waves.drawn(rng, 1.0, 350, 1500)
    steep = float(np.sum(np.abs(hill.amplitude * hill.rate)))
    hill = Waves(hill.amplitude * grade / steep, hill.rate, hill.phase)
    usual = {"motorway": 28, "highway": 25, "country": 18, "street": 10, "forest": 13}[out.kind]
    speed = usual * rng.uniform(0.6, 1.2)
    halts = rng.random() < (0.35 if out.kind == "street" else 0.1)
    if halts:
        speed *= 0.5
    if config.speed is not None:
        speed, halts = config.speed, False
    level = rng.uniform(0.36, 0.60) if not out.hood else rng.uniform(0.36, 0.56)
    tall = config.height / config.width  # the horizon's place holds at every shape of picture
    pitch = math.atan((level - 0.5) * tall * config.width / out.focal)
    return Drive(
        rng,
        Course(curve, hill),
        speed,
        halts,
        across=out.own + float(rng.normal(0, 0.15)),
        room=0.35,
        up=rng.uniform(1.2, 1.5),
        pitch=pitch,
    )
