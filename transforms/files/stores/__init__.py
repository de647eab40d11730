"""Where files are: local folders, S3, Google Cloud Storage, and everything else through Beam."""
