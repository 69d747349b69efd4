"""Fitting matchability on measured recordings."""
