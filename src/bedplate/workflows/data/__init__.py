"""Tables as their contract has them: read, checked, compared, registered, cut."""
