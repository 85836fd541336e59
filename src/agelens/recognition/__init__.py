"""Age-invariant face recognition: whose face it is, across decades."""
