"""Consumer-finance complaints: route each one to the product team that must answer it."""
