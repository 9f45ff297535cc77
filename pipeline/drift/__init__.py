"""Is it still right? A sample of what was asked and answered, held against the evaluation photos of the version."""
