"""Files users already have; readers return (data, meta)."""
