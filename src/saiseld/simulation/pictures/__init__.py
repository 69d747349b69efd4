"""Panoramas and the figures drawn on them."""
