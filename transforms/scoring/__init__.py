"""Shards become parts: read, decode, predict, write."""
