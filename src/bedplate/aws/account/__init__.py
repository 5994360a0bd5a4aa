"""Adapters over the AWS account: identity, quotas, permissions, tags, CloudTrail and the platform's outputs."""
