"""One module per verb: observe, plan, execute, record."""
