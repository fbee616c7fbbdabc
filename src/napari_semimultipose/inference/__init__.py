"""From frames to poses."""
