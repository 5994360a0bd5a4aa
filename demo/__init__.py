"""The life of a model on the local platform, as a demo: `make demo`."""
