"""The clips of a fleet, as the user names them."""
