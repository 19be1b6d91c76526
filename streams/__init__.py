"""What happens to events: the declaration, the pure stages, the protocol, the runtime."""
