"""The embedded stack of real parts: Apache Kafka, Valkey, SQLite or PostgreSQL; loopback only."""
