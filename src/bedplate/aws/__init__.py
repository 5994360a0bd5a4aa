"""Adapters: the ports over boto3 and the SageMaker SDK. Raw responses never leave this package."""
