"""Records API calls in CloudTrail's event history, in trails, and in S3 server access logs."""
