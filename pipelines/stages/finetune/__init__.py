"""The fine-tuned model: the base model's upper layers, or adapters on them, trained on the weak labels."""
