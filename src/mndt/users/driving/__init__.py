"""Vehicles on lanes: car following, junctions, lane changes."""
