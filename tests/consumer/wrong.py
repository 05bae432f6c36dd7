"""Wrong uses of seesame, for type checkers: they must find each line that is marked."""

import seesame

seesame.compress(3)  # wrong
seesame.load_stack()  # wrong
seesame.open("a.ssm", dimension_order="HWC")  # wrong
total: int = seesame.Score(0.0, 0.0, 0.0).total  # wrong
print(seesame.open_clip("a.mp4").nframes)  # wrong
size: str = seesame.compress("a.mp4").nbytes  # wrong
