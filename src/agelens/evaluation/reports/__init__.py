"""Pages and figures: how every report is drawn."""
