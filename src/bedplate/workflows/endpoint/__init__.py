"""Looks at an endpoint and asks it: what is live, what was captured, who answers, how a release would do on a copy."""
