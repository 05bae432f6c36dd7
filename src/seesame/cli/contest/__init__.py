"""`seesame contest`: one file per subcommand."""
