"""``python -m seesame.cli`` is ``seesame``."""

from seesame.cli.main import main

raise SystemExit(main())
