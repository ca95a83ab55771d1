"""Stage promote: decide against the pinned champion, and freeze the drift profile."""
