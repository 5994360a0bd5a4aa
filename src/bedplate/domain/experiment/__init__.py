"""Statistics of two or more releases side by side: agreement, A/B tests, bandits, paired comparison on late labels."""
