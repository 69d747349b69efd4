"""Rooms and how sound travels in them."""
