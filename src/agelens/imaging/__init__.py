"""Photo to face to chip: reading, detecting, aligning, judging quality."""
