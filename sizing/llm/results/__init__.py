"""Results that people measured themselves: readers of benchmark files and start-up logs, and what they say beside our predictions."""
