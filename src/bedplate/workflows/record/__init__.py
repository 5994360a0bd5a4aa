"""What was done and what was spent: the ledger's writer and readers, costs, and a decision followed back."""
