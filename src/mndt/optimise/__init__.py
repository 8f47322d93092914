"""AI optimisers (paper IV) and their company."""
