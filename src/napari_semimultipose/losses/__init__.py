"""Training targets and losses."""
