"""Input files become batches of records, a reader for each format."""

FORMATS = ("parquet", "tfrecord", "webdataset", "images")
"""The names of the input formats, here so that `--help` can list them without importing their readers."""
