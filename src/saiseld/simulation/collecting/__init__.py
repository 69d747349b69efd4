"""Collects sounds and rooms from public packages: ``saiseld collect``."""
