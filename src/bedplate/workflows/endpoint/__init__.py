"""Workflows on an endpoint: observe, follow, probe and invoke it, read its capture, and score a release on a copy."""
