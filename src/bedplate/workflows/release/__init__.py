"""Workflows that deploy releases, roll them back, and run rollouts."""
