"""How far estimates move, and errors grow, as a picture gets worse."""
