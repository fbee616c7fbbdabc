"""Frames and labels as training batches."""
