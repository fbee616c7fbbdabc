"""Which frames are worth a person's time: to be labelled, or to be looked at again."""
