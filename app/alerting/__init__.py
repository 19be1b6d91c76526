"""How alerts reach people: what is said, through which channels, and what still waits."""
