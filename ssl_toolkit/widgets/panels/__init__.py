"""The panels, one a file. None imports another."""
