"""From an installed package to a running service of the host, and back."""
