"""The project on disk and the process around a command: parameters, store, state files, errors."""
