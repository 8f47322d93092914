"""The static world: roads, buildings, areas, sites and cells."""
