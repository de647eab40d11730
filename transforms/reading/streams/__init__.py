"""Reads the formats whose files are read from front to back: TFRecord and WebDataset tars, plain or packed."""
