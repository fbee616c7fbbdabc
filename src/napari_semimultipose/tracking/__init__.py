"""Poses over time: who is who."""
