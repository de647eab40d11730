"""Reads tables of probabilities that another system made: which columns hold them is told by names and first rows."""

PROBABILITIES, LOGITS = OUTPUTS = ("probabilities", "logits")
"""What the numbers in such tables are. They are defined here so that `--help` need not import what reads them."""
