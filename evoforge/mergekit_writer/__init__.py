"""Winners as mergekit configurations, so that other tools can make them again."""
