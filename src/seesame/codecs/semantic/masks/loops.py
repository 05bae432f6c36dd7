"""Compiled walk over the pixels of a mask, see :mod:`seesame.codecs.semantic.masks.coder`.

Planes are masks with a margin of ``NOTHING`` on all sides, seen as flat arrays: ``here`` is the
place of a pixel in them, ``stride`` the way to the pixel below.
"""

from typing import Any, NamedTuple

import numpy as np

from seesame.bitstream.mixing_loops import (
    DECODE,
    LARGEST,
    ONE,
    PLACE,
    PRICE,
    PROBABILITY_BITS,
    clamp,
    code_bit,
    compiled,
    inlined,
)
from seesame.bounds import BOUNDS
from seesame.codecs.semantic.masks import predictor
from seesame.codecs.semantic.masks.predictor import (
    CHAIN,
    CONTEXTS,
    LIMIT,
    NAMED,
    NET_RATE,
    SURE_RATE,
    SURE_SHIFT,
    Contexts,
    I,
    Mixer,
    Scratch,
    Tables,
    ask_contexts,
    ask_maps,
    ask_mixers,
    ask_network,
    new_scratch,
    teach_contexts,
    teach_mixers,
    teach_network,
)
from seesame.codecs.semantic.masks.surroundings import (
    MARGIN,
    NOTHING,
    SPOTS,
    TEMPLATE,
    Layout,
    Memory,
    also,
    candidates,
    differences,
    look,
    uniform,
)

CHOOSE = 3
"""A mode beside those of the bit coder: ``PRICE`` with wrong pixels where they are cheaper."""

SURE_TABLES, SURE_ROWS = 6, 1 << 14
_DECISIONS = BOUNDS.mask_decisions
"""Decisions of a mask, beside one a pixel, behind which a decoder stops at the end of a row."""
_BANDS = np.array([0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6], np.int64)
"""Distance to the nearest border, in bands; a run of pixels lies in one band."""
_LENGTHS = np.array([0, 0, 1, 2, 2, 3, 3, 3, 3] + [4] * 7 + [5] + [6] * 15 + [7], np.int64)
"""Length of a run, in eight groups."""


class Model(NamedTuple):
    """All that predicts."""

    settings: Any
    tables: Tables
    layout: Layout
    contexts: Contexts
    mixer: Mixer
    first: Any
    second: Any
    sure: Any
    sure_weights: Any
    memory: Memory


class Task(NamedTuple):
    """The buffers with which one mask is coded: the coder's state, its bytes, prices and edits."""

    coder: Any
    data: Any
    price: Any
    """float64 ``(1,)``: bits so far, for ``PRICE`` and ``CHOOSE``; else decisions so far."""
    bits: Any
    """float32 ``(h, w)``: bits of each pixel, for ``PRICE`` and ``CHOOSE``."""
    wrong: Any
    """float32 ``(h, w)``: bits that a wrong pixel may save at most, for ``CHOOSE``."""


@inlined
def sure_dot(sure: Any, weights: Any, places: Any, inputs: Any, stretch: Any) -> Any:
    """Return the mixed prediction of the tables of uniform regions, in the stretch domain."""
    total = I(0)
    for i in range(SURE_TABLES):
        inputs[i] = stretch[sure[i, places[i]] >> 6]
        total += I(inputs[i]) * I(weights[i])
    return clamp(total >> 16, LARGEST)


@inlined
def sure_bit(
    mode: int, task: Task, bit: int, shift: int, rate: int,
    sure: Any, weights: Any, places: Any, inputs: Any, tables: Tables,
) -> Any:  # fmt: skip
    """Code whether a uniform region is not as predicted, and learn."""
    dot = sure_dot(sure, weights, places, inputs, tables.stretch)
    chance = I(max(tables.squash[dot + LARGEST], 16))
    bit = code_bit(mode, task.coder, task.data, task.price, bit, chance)
    error = (bit << PROBABILITY_BITS) - chance
    step = (error * rate) >> 14
    for i in range(SURE_TABLES):
        weights[i] += (inputs[i] * step + 32768) >> 16
        old = I(sure[i, places[i]])
        sure[i, places[i]] = max(old + (((bit << PROBABILITY_BITS) - old) >> shift), 64)
    return bit


@inlined
def chain(here: int, stride: int, errors: Any) -> Any:
    """Return how long a chain of wrong pixels a wrong pixel here would continue."""
    above = here - stride
    longest = max(errors[here], errors[here - 1], errors[above - 1])
    return I(max(longest, errors[above], errors[above + 1])) + 1


@inlined
def cheaper_wrong(
    here: int, length: int, stride: int, gain: float, limit: int, mask: Any, errors: Any, wrong: Any
) -> Any:
    """Return whether the odd pixels of a run of one class are better coded as that class."""
    odd, loss = 0, 0.0
    c = mask[here - 1]
    for j in range(length):
        if mask[here + j] != c:
            odd += 1
            loss += wrong[j]
            if odd + chain(here + j, stride, errors) - 1 > limit:
                return False
    return gain > loss


@inlined
def code_run(
    mode: int, y: int, x: int, here: int, stride: int, height: int, width: int,
    mask: Any, last: Any, before: Any, task: Task, model: Model, planes: Any,
    places: Any, inputs: Any,
) -> Any:  # fmt: skip
    """Code up to where a row goes on as its uniform surroundings say.

    Returns:
        how many pixels from here are so, and the length of the run that was looked at.
    """
    surprise, distance, right, down, errors = planes
    c = I(last[here])
    band = _BANDS[distance[here]]
    end = min(width, ((x >> 4) + 1 + (band >> 2)) << 4)
    length, recent, steady, odd = 0, I(0), I(7), -1
    while x + length < end:
        there = here + length
        if last[there] != c or _BANDS[distance[there]] != band or mask[there - stride + 2] != c:
            break
        recent |= surprise[there]
        if before[there] != c:
            steady &= 6
        if before[there + 1] != c:
            steady &= 5
        if before[there + stride] != c:
            steady &= 3
        if odd < 0 and mask[there] != c:
            odd = length
        length += 1
    long = _LENGTHS[length]
    beyond_x = I(last[here + right[here] + 1])
    beyond_y = I(last[here + (down[here] + 1) * stride])
    close = (1 if right[here] < 4 else 0) + (2 if down[here] < 4 else 0)
    state = (1 if recent else 0) + (2 if steady == 7 else 0)
    places[0] = ((c * 8 + band) * 4 + state) * 8 + long
    places[1] = ((y * 32 // height) * 32 + x * 32 // width) * 8 + long
    places[2] = (I(right[here]) * 16 + I(down[here])) * 8 + long
    places[3] = (recent * 8 + steady) * 8 + long
    places[4] = (((y >> 3) * 64 + (x >> 3)) & 2047) * 8 + long
    places[5] = ((beyond_x * 32 + beyond_y) * 4 + close) * 4 + (long >> 1)
    weights = model.sure_weights[band + (8 if recent else 0)]
    rate = model.settings[SURE_RATE]
    if mode == CHOOSE:
        mode = PRICE
        if odd >= 0:
            dot = sure_dot(model.sure[0], weights, places, inputs, model.tables.stretch)
            gain = 4.0 - np.log2(model.tables.squash[dot + LARGEST] / ONE)
            limit = model.settings[CHAIN]
            if cheaper_wrong(here, length, stride, gain, limit, mask, errors, task.wrong[y, x:]):
                odd = -1
    bit = I(1 if odd >= 0 else 0)
    shift = model.settings[SURE_SHIFT]
    bit = sure_bit(
        mode, task, bit, shift, rate, model.sure[0], weights, places, inputs, model.tables
    )
    if bit == 0:
        return length, length
    for j in range(length - 1):
        there, left = here + j, length - j
        steady = I(1 if before[there] == c else 0) + (2 if before[there + 1] == c else 0)
        steady += 4 if before[there + stride] == c else 0
        places[0] = left * 16 + distance[there]
        places[1] = surprise[there] * 8 + steady
        places[2] = I(right[there]) * 16 + I(down[there])
        places[3] = _LENGTHS[left] * 16 + right[there]
        places[4] = min(j, 3) * 64 + left
        places[5] = c * 64 + left
        weights = model.sure_weights[16 + _LENGTHS[left]]
        bit = I(1 if odd == j else 0)
        if sure_bit(mode, task, bit, 5, rate, model.sure[1], weights, places, inputs, model.tables):
            return j, length
    return length - 1, length


@inlined
def code_class(
    mode: int, c: int, other: int, rank: int, bit: int, limit: float, task: Task, model: Model,
    named: Any, near: Any, scratch: Scratch, spots: Any,
) -> Any:  # fmt: skip
    """Code whether a pixel is of class c, and learn.

    Args:
        mode: as for the bit coder, or ``CHOOSE``.
        c: the class.
        other: the class that is likeliest if it is not c.
        rank: how many classes were ruled out before, at most 3.
        bit: the truth, not used when decoding.
        limit: for ``CHOOSE``, how many bits more a "no" must cost to become a "yes".
        task: the coder.
        model: all that predicts.
        named: classes of the neighbours that contexts use.
        near: classes of those that the network uses.
        scratch: the facts, and room.
        spots: further inputs of the network, and what selects weights.
    """
    tables, settings, facts = model.tables, model.settings, scratch.facts
    wanted = np.uint8(c)
    known = I(0)
    for j in range(NAMED):
        known |= I(named[j] == wanted) << j
    facts[predictor.CLASS], facts[predictor.CLASSES] = c + 1, (c + 1) * 32 + other
    ask_contexts(known, rank, model.contexts, tables, scratch)
    number = differences(c, near, model.layout.near_starts, scratch)
    base = near.shape[0]
    number = also(base + c, number, scratch)
    number = also(base + 32 + other, number, scratch)
    number = also(base + 64 + min(rank, 2), number, scratch)
    for i in range(9):
        number = also(base + 68 + spots[i], number, scratch)
    network = ask_network(number, model.first, model.second, scratch)
    scratch.inputs[3 * CONTEXTS + 1] = network
    few = min(rank, 2)
    close, border, nearby = (
        facts[predictor.MISFIT],
        facts[predictor.BORDER],
        facts[predictor.NEARBY],
    )
    beside = (known & 3) | ((known >> 16) & 1) << 2 | ((known >> 32) & 1) << 3
    ahead = ((known >> 17) & 3) | ((known >> 33) & 3) << 2
    rows = scratch.rows
    rows[0] = (rank * 16 + nearby) * 16 + (facts[predictor.SURPRISES] >> 4)
    rows[1] = (rank * 16 + beside) * 16 + ahead
    rows[2] = (few * 16 + close) * 32 + c
    rows[3] = (few * 8 + border) * 16 + ((known >> 2) & 3) * 4 + ((known >> 16) & 3)
    rows[4] = few * 32 + spots[10]
    rows[5] = (rank * 16 + spots[9]) * 16 + spots[11]
    scratch.maps[0] = (few * 16 + nearby) * 9 + close
    scratch.maps[1] = (known & 15) | ((known >> 16) & 7) << 4 | ((known >> 32) & 7) << 7
    scratch.maps[2] = (few * 8 + border) * 32 + c
    row = few * 16 + beside
    dot = ask_mixers(row, model.mixer, tables, scratch)
    chance = ask_maps(dot, I(tables.squash[dot + LARGEST]), model.mixer, scratch)
    if mode == CHOOSE:
        mode = PRICE
        if bit == 0 and np.log2(chance / (ONE - chance)) > limit:
            bit = bit + 1
    bit = code_bit(mode, task.coder, task.data, task.price, bit, chance)
    teach_contexts(bit, settings[LIMIT], model.contexts, tables, scratch)
    teach_mixers(bit, dot, row, settings, model.mixer, tables, scratch)
    error = (bit << PROBABILITY_BITS) - tables.squash[network + LARGEST]
    step = (error * settings[NET_RATE]) >> 16
    teach_network(number, step, model.first, model.second, scratch)
    return bit


@compiled
def code_mask(
    mode: int, task: Task, model: Model, classes: int, mask2: Any, last2: Any, before2: Any
) -> None:
    """Code one mask.

    Args:
        mode: of the bit coder, or ``CHOOSE``.
        task: where bytes come from or go to.
        model: all that predicts; it learns.
        classes: 1..31.
        mask2: uint8 plane of the mask, filled when decoding, changed by ``CHOOSE``.
        last2: plane of the last mask, all ``NOTHING`` for the first; :func:`survey` has seen it.
        before2: plane of the mask before.
    """
    stride = mask2.shape[1]
    height, width = mask2.shape[0] - 2 * MARGIN, stride - 2 * MARGIN
    mask, last, before, memory = mask2.ravel(), last2.ravel(), before2.ravel(), model.memory
    surprise, errors, distance = (
        memory.surprise.ravel(),
        memory.errors.ravel(),
        memory.distance.ravel(),
    )
    planes = (surprise, distance, memory.right.ravel(), memory.down.ravel(), errors)
    blank = last2[MARGIN, MARGIN] == NOTHING
    near = np.full(-(-model.layout.near.shape[0] // 8) * 8, 255, np.uint8)
    named, scratch, spots = (
        np.zeros(NAMED, np.uint8),
        new_scratch(near.shape[0]),
        np.zeros(SPOTS, np.int64),
    )
    template = TEMPLATE[:, 0] * stride + TEMPLATE[:, 1]
    bend, order, listed = np.zeros(2, np.int64), np.zeros(32, np.int64), np.zeros(32, np.int64)
    places, inputs = np.zeros(SURE_TABLES, np.int64), np.zeros(SURE_TABLES, np.int32)
    for y in range(height):
        same_until, odd_at = 0, -1
        for x in range(width):
            here = (y + MARGIN) * stride + MARGIN + x
            c, start = I(last[here]), task.price[0]
            ruled_out = 0
            starts = x >= same_until and x != odd_at and not blank and distance[here] >= 2
            if starts and uniform(here, stride, mask, last):
                good, length = code_run(
                    mode, y, x, here, stride, height, width, mask, last, before, task, model,
                    planes, places, inputs,
                )  # fmt: skip
                same_until = x + good
                odd_at = same_until if good < length else -1
                if mode >= PRICE:
                    spent = task.price[0] - start
                    task.bits[y, x : x + good] = spent / length if good == length else 0.0
                    if good < length:
                        task.bits[y, x + good] = spent
            if x < same_until:
                if mode == CHOOSE:
                    errors[here] = chain(here, stride, errors) if mask[here] != c else 0
                mask[here] = c
                surprise[here] = (surprise[here] << 1) & 255
                continue
            start = task.price[0]
            earlier = 0.0
            if x == odd_at:
                ruled_out = 1
                if mode >= PRICE:
                    earlier = task.bits[y, x]
            look(
                y, x, here, stride, height, width, blank, mask, last, before,
                model.layout, planes, template, bend, named, near, scratch, spots,
            )  # fmt: skip
            candidates(classes, c if ruled_out else I(named[32]), named, order, listed)
            truth, found = I(mask[here]), order[classes - 1]
            limit, longest = np.inf, I(0)
            if mode == CHOOSE:
                longest = chain(here, stride, errors)
                if longest <= model.settings[CHAIN]:
                    limit = task.wrong[y, x]
            guessed, decisions = 0, 0
            for d in range(ruled_out, classes - 1):
                other = order[1] if d == 0 else order[0]
                bit = I(1 if order[d] == truth else 0)
                decisions += 1
                bit = code_class(
                    mode, order[d], other, min(d, 3), bit, limit, task, model, named, near,
                    scratch, spots,
                )  # fmt: skip
                if bit:
                    found = order[d]
                    guessed = 1 if d == 0 else 0
                    break
            if mode == CHOOSE:
                errors[here] = 0 if found == truth else longest
            if mode >= PRICE:
                task.bits[y, x] = task.price[0] - start + earlier
            else:
                task.price[0] += decisions
            mask[here] = found
            surprise[here] = ((surprise[here] << 1) | (1 - guessed)) & 255
        if mode == DECODE:
            beyond = task.price[0] > _DECISIONS + height * width
            if beyond or task.coder[PLACE] - 4 > task.data.shape[0]:
                return
