"""Serve: a REST service that answers with the champion, tries a challenger with care, and logs what it said."""
