"""What a run does to a stack: its plan, what that costs and risks, what drifted, what survived."""
