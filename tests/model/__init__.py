"""Tests of what is known without Beam."""
