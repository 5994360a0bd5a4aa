"""Workflows on records: the ledger, costs and budgets, and the evidence of a prediction."""
