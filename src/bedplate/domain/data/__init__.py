"""Data contracts, versions of data, and signs that something is wrong with a table."""
