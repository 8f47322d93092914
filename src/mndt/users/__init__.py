"""Digital twin of mobile users (paper III-A)."""
