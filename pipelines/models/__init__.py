"""Models on disk and how they predict: base model, encoder, adapters, linear models, predictor."""
