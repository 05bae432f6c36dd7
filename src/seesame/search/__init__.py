"""The search for a codec's best settings, judged by a stack's eyes."""
