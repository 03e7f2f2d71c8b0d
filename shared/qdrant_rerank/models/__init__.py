"""Models that embed or read text, all imported lazily: the core works without any of them installed."""
