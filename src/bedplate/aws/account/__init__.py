"""Adapters over what describes an account: identity, quotas, tags, CloudTrail, platform outputs."""
