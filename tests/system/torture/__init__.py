"""Torture: random scripts against a real daemon, and a plain reference for what its rows have to be."""
