"""Runs endpoints: serving processes, traffic, invocations, data capture."""
