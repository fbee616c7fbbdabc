"""Synthetic recordings with known poses: bodies, motion and picture of articulated animals."""
