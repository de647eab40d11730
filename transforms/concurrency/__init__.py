"""Threads, time limits and clocks that know nothing of images."""
