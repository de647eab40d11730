"""Checks, saves, loads and runs networks; with the room that trains them the only one that imports TensorFlow."""

TOLERANCE = 1e-4
"""Float32 networks differ by some 1e-6 from one processor to another; a changed network or range by far more."""
