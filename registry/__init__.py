"""Where models and features are remembered: versions, checkpoints, artifacts, lineage."""
