"""Commands that create, compare and delete a stack, and control the local platform."""
