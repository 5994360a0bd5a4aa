"""Adapters over S3, ECR and KMS: objects, images and signatures."""
