"""Rules on stacks: plans with their cost and risks, drift, health checks, permissions, remaining resources."""
