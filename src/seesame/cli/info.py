"""``seesame info``: the contents of an .ssm file, part by part."""

from typing import TYPE_CHECKING

from seesame.cli.options import JsonOption, SsmArgument
from seesame.cli.output import print_figures, print_json, print_table

if TYPE_CHECKING:
    from seesame.bitstream.container import Container


def _time_notes(container: "Container", name: str) -> dict[str, str]:
    """Return lines about the timestamps and the other tracks, where the file has some."""
    from seesame.bitstream.container import Section
    from seesame.bitstream.stamps import unpack_times

    lines = {}
    section = container.sections.get(Section.TIMES)
    if section is not None:
        found = unpack_times(section, container.num_frames, container.fps, name)
        places = f", the clock changes {len(found.changes)} times" if found.changes else ""
        lines["times"] = (
            f"ticks of {found.time_base} s, from {float(found.start * found.time_base):.6g} s"
            f"{places}"
        )
    if Section.TRACKS in container.sections:
        lines["tracks"] = f"{len(container.sections[Section.TRACKS]):,} bytes beside the video"
    return lines


def info(file: SsmArgument, json: JsonOption = False) -> None:
    """Show what made an .ssm file, what clip it holds, and the bytes of every part.

    The whole file is read and its checksums are verified; no picture is decoded.
    """
    from seesame.bitstream.container import Container
    from seesame.codecs.registry import codec_by_id

    container = Container.read(file)
    codec = codec_by_id(container.codec_id)
    layout = container.layout()
    total = sum(size for _, size in layout)
    config = container.config(str(file))
    fps = float(container.fps)
    notes = codec.notes(container) | _time_notes(container, str(file))
    if json:
        print_json(
            {
                "file": file,
                "bytes": total,
                "codec": codec.name,
                "profile": "contest" if container.contest else "ordinary",
                "width": container.width,
                "height": container.height,
                "fps": fps,
                "num_frames": container.num_frames,
                "source_bytes": container.source_bytes,
                "config": config,
                "notes": notes,
                "layout": [{"part": name, "bytes": size} for name, size in layout],
            }
        )
        return
    seconds = container.num_frames / fps
    print_figures(
        {
            "file": f"{file}  {total:,} bytes, {8 * total / seconds / 1000:.3f} kbit/s",
            "codec": f"{codec.name}  {codec.summary}",
            "clip": f"{container.width}x{container.height}, {fps:.6g} fps, "
            f"{container.num_frames} frames, {seconds:.3f} s",
            "source": f"{container.source_bytes:,} bytes" if container.source_bytes else "unknown",
            "profile": "contest" if container.contest else "ordinary",
            "settings": ", ".join(f"{k}={v}" for k, v in sorted(config.items())) or "not stored",
            **notes,
        }
    )
    print_table(
        ("part", "bytes", "share"),
        [(name, f"{size:,}", f"{size / total:.2%}") for name, size in layout],
        right=("bytes", "share"),
        footer=("whole file", f"{total:,}", "100.00%"),
    )
