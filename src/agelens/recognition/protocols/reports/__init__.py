"""What protocols found, as figures, tables and a page."""
