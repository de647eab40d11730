"""The commands: one short module each, with its options, its graph and its `main`."""
