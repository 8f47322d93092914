"""Benchmarks and validations behind mndt bench and mndt validate."""
