"""Hostile bytes against a plain reference: see ``python -m tests.fuzz --help``."""
