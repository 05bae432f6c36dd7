"""``seesame codecs``: the codecs that can compress."""

from seesame.cli.options import JsonOption
from seesame.cli.output import print_json, print_table


def codecs(json: JsonOption = False) -> None:
    """List the codecs that `seesame compress --codec` takes."""
    from seesame.codecs import registry

    known = registry.codecs()
    if json:
        for codec in known:
            print_json({"codec": codec.name, "id": codec.codec_id, "summary": codec.summary})
        return
    rows = [(codec.name, str(codec.codec_id), codec.summary) for codec in known]
    print_table(("codec", "id", "what it is"), rows, right=("id",))
