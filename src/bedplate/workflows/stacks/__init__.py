"""Environments as a whole: bring up, compare, diagnose, tear down."""
