"""Plans runs: which shards there are to score, and everything that decides the answers."""
