"""Faults as resources: what is to go wrong, when, and how often. Off unless --faults is given."""
