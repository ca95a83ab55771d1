"""What both training stages share: the training set and the tracking of their curves."""
