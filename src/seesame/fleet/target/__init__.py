"""What is kept in a target beside the outputs: states, log, locks, catalogue."""
