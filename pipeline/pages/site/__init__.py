"""A static site of the library: what there is to ask, what each column means, what stands on what and who reads it."""
