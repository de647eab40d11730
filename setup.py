"""The entry that Beam's --setup_file runs to build the sdist for workers; all metadata is in pyproject.toml."""

from setuptools import setup

setup()
