"""Tests of runs that are killed, starved, stopped, or run beside another."""
