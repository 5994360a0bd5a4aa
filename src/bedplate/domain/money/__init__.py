"""Prices, cost estimates and spending."""
