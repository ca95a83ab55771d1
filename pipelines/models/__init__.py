"""Models on disk and how they predict: base model, encoder, adapters, linear model, predictor."""
