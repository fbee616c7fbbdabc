"""Reports of models and of recordings as pages that hold everything they show."""
