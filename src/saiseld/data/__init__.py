"""Recordings, video and the STAIRS26 tree."""
