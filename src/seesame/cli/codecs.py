"""``seesame codecs``: the codecs that can compress."""

from seesame.cli.options import JsonOption
from seesame.cli.output import print_json, print_table


def codecs(json: JsonOption = False) -> None:
    """List the codecs that `seesame compress --codec` takes."""
    from seesame.codecs import registry

    known = registry.codecs()
    aliases: dict[str, list[str]] = {}
    for alias, name in registry.ALIASES.items():
        aliases.setdefault(name, []).append(alias)
    if json:
        for codec in known:
            names = {"codec": codec.name, "aliases": aliases.get(codec.name, [])}
            print_json({**names, "id": codec.codec_id, "summary": codec.summary})
        return
    rows = [
        (codec.name, ", ".join(aliases.get(codec.name, [])), str(codec.codec_id), codec.summary)
        for codec in known
    ]
    print_table(("codec", "or", "id", "what it is"), rows, right=("id",))
