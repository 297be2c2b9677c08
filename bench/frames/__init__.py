"""Networks that predict frames, around any recurrence."""
