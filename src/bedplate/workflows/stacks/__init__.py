"""Workflows on stacks: update, compare, diagnose and destroy environments."""
