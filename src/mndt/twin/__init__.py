"""The two loops: what to do to a network, and whether it did what the twin said."""
