"""Rollouts: deployment plans (`deployment`), bakes, and the state machine of rollouts that run for days."""
