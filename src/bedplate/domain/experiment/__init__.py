"""Statistics of experiments with two or more releases: agreement of a shadow, A/B tests, bandits, paired bootstrap."""
