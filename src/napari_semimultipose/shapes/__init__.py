"""The shapes that labelled animals take: subspaces of their poses, and of body parts in several views."""
