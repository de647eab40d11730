"""Two runs over the same records, joined by id, and what changed between them."""
