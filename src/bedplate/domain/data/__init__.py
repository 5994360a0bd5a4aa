"""Data contracts, splits, registered versions of data, captured requests, and anomalies in tables."""
