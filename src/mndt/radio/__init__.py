"""Digital twin of the wireless environment (paper III-C)."""
