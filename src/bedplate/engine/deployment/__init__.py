"""Runs one deployment: registers the program's resources, decides their steps, and carries the steps out."""
