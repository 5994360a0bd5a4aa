"""Stores what the local platform holds: object bytes, the database, snapshots of services, e-mail."""
