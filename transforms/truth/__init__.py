"""Reads truth from tables of its own, and joins it to records."""

import re

ID, NAME, STEM = TRUTH_KEYS = ("id", "name", "stem")
"""What `--truth_key` joins by: whole ids, the names at the end of paths, and these without extension. They are defined
here so that `--help` need not import what joins."""

LAST = re.compile(r"last:([1-9]\d{0,3})")
"""Matches what else it joins by: so many parts at the end of paths."""
