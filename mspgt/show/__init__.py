"""Tables, pages and figures: one model of each, and a renderer for every medium."""
