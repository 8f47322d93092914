"""Radio maps for planners: what a network covers, from which cell, and what a change of an antenna does."""
