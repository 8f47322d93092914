"""Everything trained. JAX is imported here and in `mndt.optimise` only, inside functions."""
