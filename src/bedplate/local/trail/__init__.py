"""Records API calls: CloudTrail's event history, trails, and S3 server access logs."""
