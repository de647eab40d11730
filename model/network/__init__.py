"""Checks, saves, loads and runs networks; with the room that trains them the only one that imports TensorFlow."""
