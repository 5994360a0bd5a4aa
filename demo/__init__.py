"""The whole life of a model, told on a laptop: `make demo`."""
