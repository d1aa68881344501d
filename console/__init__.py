"""What people and programs see: pages, REST, sign-in and operator commands over one engine."""
