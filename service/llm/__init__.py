"""A language model beside the desk: it may choose and phrase, and is checked; nothing of it is imported while none is set."""
