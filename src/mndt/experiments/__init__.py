"""Scripts that print paper, baseline and ours."""
