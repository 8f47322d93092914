"""mndt."""
