"""Simulated rooms, sounds and pictures: data in the layout of STAIRS26."""
