"""Keeps a stack's state on disk: checkpoint, journal, lock, secrets, and the platform generation it belongs to."""
