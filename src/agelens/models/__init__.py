"""Chips to outputs: backbones, losses, methods, and the network that joins them (torch)."""
