"""What is materialised: each asset reads, calls the domain, writes, and reports metadata."""
