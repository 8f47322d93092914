"""Crowds inside areas: social force with walls and doors, and a learned correction on top."""
