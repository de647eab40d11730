"""Reads input files as batches of records, with a reader for each format."""

FORMATS = ("parquet", "tfrecord", "webdataset", "images", "table")
"""The names of the input formats; they are defined here so that `--help` need not import the readers."""
