"""Keeping what a stack says of a source: class maps in memory, entries of a cache on disk."""
