"""Tests of the project itself: layout, packages, documents."""
