"""The programs of submissions, run apart from the rest of the machine and within limits."""
