"""Live state of a registered model: predictions and late labels."""
