"""What is said of a version, and by whom: gates, approval, cards, comparison, promotion, retirement."""
