"""Decodes PNG files: chunks, packed data, filters, colors."""
