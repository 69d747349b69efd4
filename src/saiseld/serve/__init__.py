"""Recordings imaged for others: an HTTP API, a queue on disk, one process that works it off."""
