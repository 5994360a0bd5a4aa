"""Moves traffic from one release to another, and back."""
