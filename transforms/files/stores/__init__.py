"""Adapts local folders, S3, Google Cloud Storage and Beam's other file systems to one interface, `store.Store`."""
