"""The plan of a run: shards, and all that decides the answers."""
