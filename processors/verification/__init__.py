"""What people told the assistant that everyone should know: corrections, confirmations, definitions."""

from processors.verification.processor import VerificationProcessor

__all__ = ["VerificationProcessor"]
