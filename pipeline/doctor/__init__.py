"""`headwater doctor`: what is wrong with this set-up, line by line, each with the way out."""
