"""Values as text for people. Pure: nothing here reads a file, a clock or the terminal."""
