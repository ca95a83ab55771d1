"""The drift profile: what the reference window of a model looked like, frozen with the model."""
