"""Pictures, masks and differences on their way into the page: base64 in chunks.

A track is a row of items of one kind, as the preview pictures of one file. A few dozen items make a
chunk of text. A page that is one file carries its chunks inside; one that is a folder keeps each
beside itself as a script, since a page opened from disk may load scripts but no data.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

PER_CHUNK = 32
"""Items."""
FOLDER = "chunks"


@dataclass
class Track:
    """One row of items; ``sizes`` are the characters that each takes."""

    name: str
    sizes: list[int] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


class Tracks:
    """The tracks of a page; one in a folder holds no more than a chunk of each in memory.

    Args:
        folder: where chunks go, each a script; None to keep them in memory, for one file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.chunks: dict[str, str] = {}
        """Name and base64 text of the chunks in memory; none when they are in a folder."""
        self._tracks: dict[str, Track] = {}
        if folder is not None:
            (folder / FOLDER).mkdir(parents=True)

    def add(self, track: str, item: bytes) -> int:
        """Add an item to the end of a track; returns the characters that it takes."""
        own = self._tracks.setdefault(track, Track(track))
        text = base64.b64encode(item).decode("ascii")
        own.sizes.append(len(text))
        own.waiting.append(text)
        if len(own.waiting) == PER_CHUNK:
            self._store(own)
        return len(text)

    def close(self) -> dict[str, list[int]]:
        """Store what is left; returns the items' sizes by track."""
        for track in self._tracks.values():
            if track.waiting:
                self._store(track)
        return {name: track.sizes for name, track in self._tracks.items()}

    def _store(self, track: Track) -> None:
        number = (len(track.sizes) - 1) // PER_CHUNK
        name, text = f"{track.name}-{number}", "".join(track.waiting)
        track.waiting.clear()
        if self.folder is None:
            self.chunks[name] = text
        else:
            script = f"seesameChunk({json.dumps(name)}, {json.dumps(text)});\n"
            (self.folder / FOLDER / f"{name}.js").write_text(script, encoding="ascii")
