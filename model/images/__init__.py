"""Encoded images become pixels of one size."""
