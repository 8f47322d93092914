"""Constrained resource allocation: cells, blocks and power for all users so that demands are met (paper IV-A)."""
