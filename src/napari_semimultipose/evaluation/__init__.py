"""Scores and figures of predictions against true poses."""
