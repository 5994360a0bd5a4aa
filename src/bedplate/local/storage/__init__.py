"""Stores the local platform's state: object bytes, databases, snapshots of services, and e-mail."""
