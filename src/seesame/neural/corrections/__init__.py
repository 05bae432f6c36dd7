"""Small exact corrections of single frames, and the search for them."""
