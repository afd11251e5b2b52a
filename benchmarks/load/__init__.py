"""How much the server bears: load, overload, a soak, and what is killed or changed under load."""
