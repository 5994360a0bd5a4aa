"""The local platform: an AWS-compatible server on 127.0.0.1 for one project. Clients use only its URL."""
