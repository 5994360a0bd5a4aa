"""The local platform: an AWS-compatible server on 127.0.0.1 that belongs to one project, reached only by its URL."""
