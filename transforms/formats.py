"""The input formats: a line each, and a module of that name in `transforms/readers/`."""

FORMATS = {
    "parquet": "ParquetReader",
    "tfrecord": "TFRecordReader",
    "webdataset": "WebDatasetReader",
    "images": "ImagesReader",
}
"""The name of each format and of the class that reads it; importing it is left to those who read."""
