"""What people told the assistant that everyone should know: corrections, confirmations, definitions."""
