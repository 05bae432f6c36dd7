"""The search for the settings of a codec that suit a clip and its perception networks best."""
