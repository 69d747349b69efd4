"""Semantic acoustic imaging: from a microphone-array recording to who sounds where."""

__version__ = "0.1.0"
