"""mergekit's files as plain data: what they say, and what mergekit's methods take."""
