"""Speech: recordings become features. Nothing is imported here, so that cards stay fast."""
