"""HTML pages: templates, number formats, geometry."""
