"""Bedplate: the system around a model, from a folder with a train.py to a monitored, budgeted, reversible endpoint."""

__version__ = "0.1.0"
