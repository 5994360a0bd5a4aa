"""Runs the platform's Pulumi program through the Automation API, with the embedded engine or with the Pulumi CLI."""
