"""Questions in SQL: what may be asked, how it is run beside the daemon's work, and in what form it is answered."""
