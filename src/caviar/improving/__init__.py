"""The one loop: look → measure → diagnose → treat → finish → report."""
