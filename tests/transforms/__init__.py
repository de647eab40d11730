"""Tests of readers, files, stores and the other rooms of the Beam layer."""
