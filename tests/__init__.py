"""What tests share without fixtures."""

from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
"""Outputs of the public code, kept."""
