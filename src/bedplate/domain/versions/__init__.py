"""What is known of a version, and the rules on approving, promoting, retraining and retiring it."""
