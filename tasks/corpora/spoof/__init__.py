"""Bona fide and spoofed speech made comparable: how the attacks are made, and what is equalised between the classes."""
