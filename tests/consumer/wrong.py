"""Wrong uses of seesame, for type checkers: they must find each line that is marked."""

import seesame

seesame.compress(3)  # wrong
seesame.load_stack()  # wrong
seesame.open("a.ssm", dimension_order="HWC")  # wrong
seesame.score("a.mp4", "a.ssm", "lite").sum  # wrong
seesame.open_clip("a.mp4").nframes  # wrong
size: str = seesame.compress("a.mp4").nbytes  # wrong
