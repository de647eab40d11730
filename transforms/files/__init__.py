"""Reads, writes and lists local and remote files by one set of functions, with retries."""
