"""Long work in a process of its own, so that a viewer stays quick and survives whatever happens there."""
