"""Whose labels can be relied on: trust per source, labels held back until somebody looks, contradictions."""
