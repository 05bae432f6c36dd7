"""Codecs: what turns a clip into a bitstream and back."""
