"""The AWS services of the local platform: one module per service patches moto with Bedplate's behaviour."""
