"""Running Nika: supervision, the loopback report server, the doctor, the daily digest."""
