"""Training the two branches of age-invariant recognition on chip stores with identities."""
