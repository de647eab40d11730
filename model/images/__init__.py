"""Decodes image files and brings them to one size."""
