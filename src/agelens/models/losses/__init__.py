"""Loss terms as pure functions of tensors: ages in years, posteriors [B, K], scalars out.

A method composes them; nothing here knows a network, an epoch or a configuration.
"""
