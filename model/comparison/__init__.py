"""Joins two runs over the same records by id, and says what changed between them."""
