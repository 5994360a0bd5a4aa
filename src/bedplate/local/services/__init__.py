"""AWS services of the local platform: Bedplate's behaviour installed over moto, one module per service."""
