"""The daemon's HTTP API: on a Unix socket, and what only reads also on loopback, if asked to."""
