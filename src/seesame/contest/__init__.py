"""The challenge: evaluate, pack, inflate and rank submissions."""
