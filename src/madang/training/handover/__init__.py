"""What a hand-over to torchtitan carries along: files that run there without Madang."""
