"""Parts of `collect_sounds.py`."""
