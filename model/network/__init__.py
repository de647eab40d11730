"""Builds, trains, checks, saves, loads and runs networks; the only room that imports TensorFlow."""
