"""The engines: what does the clips of a run, on this machine or on a cluster."""
