"""Commands for costs, budgets, the ledger and audits."""
