"""Checks a finished run against its own manifest, and scores a sample of it again."""
