"""Connectors: one file a destination type, all behind the contract of `base`."""
