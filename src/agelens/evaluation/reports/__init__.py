"""Pages and figures: how reports of every room are drawn."""
