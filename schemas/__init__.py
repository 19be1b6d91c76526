"""What travels: record schemas, their codec, ids and rules of growth."""
