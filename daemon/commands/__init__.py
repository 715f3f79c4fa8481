"""The commands that ask a running daemon, or its database while none runs."""
