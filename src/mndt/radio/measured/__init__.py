"""What an operator measured, and the propagation law fitted to it."""
