"""Receives HTTP requests to the local platform and passes them to the service that they address."""
