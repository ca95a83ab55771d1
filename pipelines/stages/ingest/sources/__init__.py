"""Where raw rows come from: four sources behind the protocol `chunk.Source`."""
