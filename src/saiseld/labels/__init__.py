"""STAIRS26-style labels from 32-channel recordings and their events (docs/data.md#labels)."""

from saiseld.formats.events import Event
from saiseld.labels.annotate import annotate
from saiseld.labels.sparse_imaging import sparse_image

__all__ = ["Event", "annotate", "sparse_image"]
