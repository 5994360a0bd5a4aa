"""Prices, estimates, and what was spent."""
