"""Receives the local platform's HTTP requests and passes each to its service."""
