"""``seesame stacks``: the perception stacks that can judge."""

from seesame.cli.options import JsonOption
from seesame.cli.output import print_json, print_table


def stacks(json: JsonOption = False) -> None:
    """List the perception stacks that --stack takes, and whether each is ready here."""
    from seesame.perception import registry

    known = registry.stacks()
    if json:
        for stack in known:
            print_json(
                {
                    "stack": stack.name,
                    "available": stack.available,
                    "summary": stack.summary,
                    "hint": stack.hint,
                }
            )
        return
    rows = [(s.name, "yes" if s.available else "no", s.summary, s.hint) for s in known]
    print_table(("stack", "ready", "what it is", "what to do"), rows)
