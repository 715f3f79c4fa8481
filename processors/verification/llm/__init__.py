"""Verification by a language model."""
