"""Tests of the commands, end to end."""
