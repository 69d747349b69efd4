"""Hearing: what sounds and where, over seconds, from four microphones alone."""
