"""Labels beyond clicking: which frames to label next, and labels that follow the animals."""
