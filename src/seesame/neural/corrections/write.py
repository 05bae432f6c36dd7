"""The results of a search for corrections, written into a file."""

from dataclasses import replace

from seesame.bitstream.container import Container, Section
from seesame.neural.corrections.search import Found
from seesame.neural.corrections.sidecar import pack_sidecar
from seesame.neural.weights.pack import pack_stream
from seesame.neural.weights.rows import Rows


def with_corrections(container: Container, latents: Rows, found: Found) -> Container:
    """Return a file with the results of a search in place of its corrections and latents.

    Args:
        container: the file.
        latents: that the search started from.
        found: its results.
    """
    sections: dict[Section, bytes] = dict(container.sections)
    sections.pop(Section.SIDECAR, None)
    if (found.latents.symbols != latents.symbols).any():
        sections[Section.LATENTS] = pack_stream(found.latents)
    payload = pack_sidecar(found.corrections)
    if payload:
        sections[Section.SIDECAR] = payload
    return replace(container, sections=sections)
