"""Terminal views: tables, progress lines, and the live display of rollouts, trainings and stack updates."""
