"""From a trained model to a bundle that `agelens estimate` runs: weights and their card."""
