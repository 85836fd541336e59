"""From a downloaded folder to chips to train on."""
