"""Reads truth from tables of its own, and joins it to records."""
