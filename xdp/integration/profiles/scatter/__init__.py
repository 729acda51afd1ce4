"""How far the shapes of spots scatter about their profiles: measured in strong reflections."""
