"""HTML pages: each is one self-contained file that a browser shows offline."""
