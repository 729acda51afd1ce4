"""How spot finding is cut into tasks, and how their results are joined."""
