"""Reads CSV and JSON lines whose rows name images by paths, and the rows of metadata files."""
