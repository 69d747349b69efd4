"""Collects sounds and rooms from public packages: ``python -m saiseld_sounds``."""
