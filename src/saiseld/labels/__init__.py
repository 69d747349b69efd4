"""STAIRS26-style labels from 32-channel recordings and their events (spec 6)."""

from saiseld.data.events import Event, read_events, write_events
from saiseld.labels.annotate import annotate
from saiseld.labels.sparse_imaging import sparse_image

__all__ = ["Event", "annotate", "read_events", "sparse_image", "write_events"]
