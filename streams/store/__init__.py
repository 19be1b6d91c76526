"""Where tasks keep their state beside their cut: Redis, behind the protocol's ``Store``."""
