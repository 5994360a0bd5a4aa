"""Pages for people who read in a browser: one self-contained HTML file, readable offline."""
