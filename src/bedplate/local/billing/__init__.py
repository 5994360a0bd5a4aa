"""Records usage charges, and answers budgets and Cost Explorer queries from them."""
