"""The hybrid codec: a classical base, and what a small network and corrections make of it."""
