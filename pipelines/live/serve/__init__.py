"""Serve: a REST service that answers with the champion, tries a challenger on a share, and logs every answer."""
