"""The reference engine: a process that trades at a broker and obeys stops even when nobody is left to repeat them."""
