"""netlint's own rules: a folder is a category, a file is a rule."""
