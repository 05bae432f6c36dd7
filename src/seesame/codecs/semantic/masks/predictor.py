"""Compiled prediction of one decision about a pixel, for the coder of masks.

A decision is a yes or no: "is this pixel of that class?". Its probability is mixed from two kinds
of predictors, both of which see the pixels around only as "of that class or not":

- *contexts*: hashes of chosen neighbours, each with a counter and the last few outcomes;
- a *network* with one hidden layer that learns on the way. Its inputs are the differences between
  adjacent neighbours, most of which are zero, so that it costs little and learns fast.
"""

from typing import Any, NamedTuple

import numpy as np

from seesame.bitstream.mixing_loops import (
    LARGEST,
    ONE,
    PROBABILITY_BITS,
    STRETCH_BITS,
    clamp,
    inlined,
    mixed,
    train,
)

CONTEXTS = 32
HIDDEN = 16
INPUTS = 112
"""Inputs of a mixer: three for each context, a constant, the network; the rest stays zero."""
SETS = 6
NAMED = 60
"""Neighbours that contexts can use; the network sees more."""

ROWS = 2048
MAPS, MAP_ROWS, KNOTS = 3, 1024, 33
KNOT = 768

FACTS = 16
NONE, CLASS, CLASSES, Y, X, AREA, SURPRISES, MISFIT, PLACE, BORDER, RUNS, EARLIER_RUNS = range(12)
SHIFT, MISFITS, NEARBY = 12, 13, 14
"""Facts about a decision that contexts can hash together with neighbours."""

MIXER_RATE, FINAL_RATE, NET_RATE, MAP_SHIFT, LIMIT, SURE_RATE, SURE_SHIFT, CHAIN = range(8)
"""Places of the settings in their array, see ``masks.MaskSettings``."""

I = np.int64  # noqa: E741
_SLOT_FRESH = (ONE // 2) | (1 << 48)
_K1, _K2 = I(0x5851F42D4C957F2D), I(0x3C6EF372FE94F82B)
_K3, _K4, _K5 = I(0x2545F4914F6CDD1D), I(0x369DEA0F31A53F85), I(0x1B873593CC9E2D51)


class Tables(NamedTuple):
    """Constant tables of integers."""

    squash: Any
    stretch: Any
    confidence: Any
    """By a counter's count: how far its prediction is trusted, of 1024."""
    rates: Any
    """By a counter's count: how far it moves, of 65536."""


class Contexts(NamedTuple):
    """The neighbours and facts that make each context, and the statistics kept for each."""

    masks: Any
    """int64 ``(CONTEXTS,)``: bits of the named neighbours that belong to the hash."""
    facts: Any
    """int64 ``(CONTEXTS, 2)``: facts that belong to it."""
    slots: Any
    """int64 ``(CONTEXTS, size)``: probability (bits 0..21), count (32..41), last outcomes after a
    leading 1 (48..55) and a check of the hash (56..62)."""
    history: Any
    """int32 ``(CONTEXTS, 256)`` by last outcomes: 16 bits of probability, 10 of a count."""


class Mixer(NamedTuple):
    """Weights of the mixers, and the adaptive probability maps after them."""

    sets: Any
    """int32 ``(SETS, ROWS, INPUTS)``, with 16 fractional bits."""
    final: Any
    """int32 ``(64, SETS)``."""
    maps: Any
    """int32 ``(MAPS, MAP_ROWS, KNOTS)``: probabilities at knots of the stretch domain."""
    visits: Any
    """int64 ``(SETS, ROWS)``: how often a row of weights was used."""


class Scratch(NamedTuple):
    """Arrays that are used again for each decision."""

    inputs: Any
    places: Any
    checks: Any
    active: Any
    signs: Any
    hidden: Any
    slopes: Any
    rows: Any
    outputs: Any
    maps: Any
    facts: Any
    same: Any
    edges: Any


@inlined
def new_scratch(neighbours: int) -> Scratch:
    """Return scratch arrays; the number of neighbours is a multiple of 8."""
    return Scratch(
        inputs=np.zeros(INPUTS, np.int32),
        places=np.zeros(CONTEXTS, np.int64),
        checks=np.zeros(CONTEXTS, np.int64),
        active=np.zeros(neighbours + 32, np.int64),
        signs=np.zeros(neighbours + 32, np.int32),
        hidden=np.zeros(HIDDEN, np.int32),
        slopes=np.zeros(HIDDEN, np.int32),
        rows=np.zeros(SETS, np.int64),
        outputs=np.zeros(SETS, np.int32),
        maps=np.zeros(MAPS, np.int64),
        facts=np.zeros(FACTS, np.int64),
        same=np.zeros(neighbours + 1, np.int8),
        edges=np.zeros(neighbours, np.int8),
    )


@inlined
def ask_contexts(known: int, rank: int, c: Contexts, t: Tables, s: Scratch) -> None:
    """Fill the mixers' inputs with what every context predicts.

    Args:
        known: bits of the named neighbours that are of the class in question.
        rank: how many classes were ruled out before, at most 3.
        c: the contexts.
        t: the tables.
        s: the scratch; its facts are set.
    """
    size = c.slots.shape[1]
    for i in range(CONTEXTS):
        h = (known & c.masks[i]) * _K1 + rank * _K2
        h += s.facts[c.facts[i, 0]] * _K3
        h += s.facts[c.facts[i, 1]] * _K4
        h ^= (h >> 29) & I(0x7FFFFFFFF)
        h *= _K5
        s.places[i] = (h >> 32) & (size - 1)
        s.checks[i] = (h >> 56) & 127
    for i in range(CONTEXTS):
        slot = c.slots[i, s.places[i]]
        if (slot >> 56) & 127 != s.checks[i]:
            slot = I(_SLOT_FRESH) | (s.checks[i] << 56)
            c.slots[i, s.places[i]] = slot
        chance, count = slot & (ONE - 1), (slot >> 32) & 1023
        trust = t.confidence[count]
        s.inputs[i] = (I(t.stretch[chance >> 6]) * trust) >> 10
        s.inputs[CONTEXTS + i] = ((chance - ONE // 2) * trust) >> 20
        past = c.history[i, (slot >> 48) & 255]
        s.inputs[2 * CONTEXTS + i] = t.stretch[past >> 10] if count > 0 else 0
    s.inputs[3 * CONTEXTS] = 1 << STRETCH_BITS


@inlined
def teach_contexts(bit: int, limit: int, c: Contexts, t: Tables, s: Scratch) -> None:
    """Move the counters of every context towards the outcome."""
    full = bit << PROBABILITY_BITS
    for i in range(CONTEXTS):
        slot = c.slots[i, s.places[i]]
        chance, count, last = slot & (ONE - 1), (slot >> 32) & 1023, (slot >> 48) & 255
        chance += ((full - chance) * t.rates[count]) >> 16
        chance = min(max(chance, 64), ONE - 64)
        count = min(count + 1, limit)
        past = I(c.history[i, last])
        seen, past = past & 1023, past >> 10
        past += (((full >> 6) - past) * t.rates[seen]) >> 16
        c.history[i, last] = (min(past, 65535) << 10) | min(seen + 1, 1000)
        last = (last << 1) | bit
        if last > 255:
            last = (last & 63) | 64
        c.slots[i, s.places[i]] = chance | (count << 32) | (last << 48) | (s.checks[i] << 56)


@inlined
def ask_network(number: int, first: Any, second: Any, s: Scratch) -> Any:
    """Return what the network predicts, in the stretch domain.

    Args:
        number: how many inputs differ from zero; ``s.active`` says which, ``s.signs`` how (±1).
        first: int32 ``(inputs, HIDDEN)``, with 20 fractional bits.
        second: int32 ``(HIDDEN + 1,)``, with 16 fractional bits; the last is a constant.
        s: the scratch.
    """
    for h in range(HIDDEN):
        s.hidden[h] = 0
    for a in range(number):
        place, sign = s.active[a], s.signs[a]
        for h in range(HIDDEN):
            s.hidden[h] += sign * first[place, h]
    total = I(second[HIDDEN]) << STRETCH_BITS
    for h in range(HIDDEN):
        value = s.hidden[h]
        value = value >> 10 if value > 0 else value >> 13
        s.hidden[h] = value
        total += I(value) * I(second[h])
    return clamp(total >> 16, LARGEST)


@inlined
def teach_network(number: int, step: int, first: Any, second: Any, s: Scratch) -> None:
    """Move the network's weights against the error: ``step`` is it times the rate, 22 bits."""
    for h in range(HIDDEN):
        slope = (step * second[h]) >> 16
        if s.hidden[h] <= 0:
            slope >>= 3
        s.slopes[h] = slope
        second[h] += (step * s.hidden[h] + (1 << 15)) >> 16
    second[HIDDEN] += step >> 6
    for a in range(number):
        place, sign = s.active[a], s.signs[a]
        for h in range(HIDDEN):
            first[place, h] += sign * s.slopes[h]


@inlined
def ask_mixers(row: int, m: Mixer, t: Tables, s: Scratch) -> Any:
    """Return the mixed prediction in the stretch domain; ``row`` is of the final weights."""
    for j in range(SETS):
        s.outputs[j] = mixed(s.inputs, m.sets[j, s.rows[j]])
    return mixed(s.outputs, m.final[row])


@inlined
def ask_maps(dot: int, chance: int, m: Mixer, s: Scratch) -> Any:
    """Return the probability refined by what came of such predictions before, 22 bits."""
    at = dot + 16 * KNOT
    low = at // KNOT
    part = at - low * KNOT
    total = I(0)
    for a in range(MAPS):
        knots = m.maps[a, s.maps[a]]
        total += (knots[low] * (KNOT - part) + knots[low + 1] * part) // KNOT
    return min(max((chance * 3 + total) // 6, 32), ONE - 32)


@inlined
def teach_mixers(
    bit: int, dot: int, row: int, settings: Any, m: Mixer, t: Tables, s: Scratch
) -> None:
    """Move the weights and maps towards the outcome."""
    full = bit << PROBABILITY_BITS
    knot = (dot + 16 * KNOT + KNOT // 2) // KNOT
    for a in range(MAPS):
        old = m.maps[a, s.maps[a], knot]
        m.maps[a, s.maps[a], knot] = old + ((full - old) >> settings[MAP_SHIFT])
    error = full - t.squash[dot + LARGEST]
    train(s.outputs, m.final[row], (error * settings[FINAL_RATE]) >> 14)
    for j in range(SETS):
        error = full - t.squash[s.outputs[j] + LARGEST]
        m.visits[j, s.rows[j]] += 1
        train(s.inputs, m.sets[j, s.rows[j]], (error * settings[MIXER_RATE]) >> 14)
