"""What happens to records: score, route, join, learn, monitor. Pure functions to effects."""
