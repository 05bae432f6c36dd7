"""The report page: what the nets saw in a source and in files of it, to step through."""
