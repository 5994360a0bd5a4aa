"""From a folder with a train.py to a registered version: source, jobs, bills of materials, experiments."""
