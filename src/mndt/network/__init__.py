"""Digital twin of base stations (paper III-B)."""
