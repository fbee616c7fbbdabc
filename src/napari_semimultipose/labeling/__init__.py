"""Which frames are worth a person's time: suggestions before and after a model was trained."""
