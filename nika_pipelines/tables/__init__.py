"""Any table: its statistics, its quality score, its result document and its report content."""
