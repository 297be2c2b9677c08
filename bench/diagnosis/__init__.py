"""What a trained recurrence remembers: gradients back in time, Jacobians, the context it uses."""
