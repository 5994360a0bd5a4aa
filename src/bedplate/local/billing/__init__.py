"""Records charges for usage, and computes budgets' spend and Cost Explorer's results from them."""
