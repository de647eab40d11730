"""Reads truth from tables of its own, and joins it to records."""

ID, NAME, STEM = TRUTH_KEYS = ("id", "name", "stem")
"""What `--truth_key` joins by: whole ids, the names at the end of paths, and these without extension. They are defined
here so that `--help` need not import what joins."""
