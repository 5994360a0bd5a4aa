"""Workflows on versions: evaluate, approve, compare, reproduce, promote, retrain, retire, and cards."""
