"""Reads tables by their data contract, and checks, compares and registers them as dataset versions."""
