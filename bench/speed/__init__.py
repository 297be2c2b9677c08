"""Speed, measured side by side in one go and set against what the machine can do."""
