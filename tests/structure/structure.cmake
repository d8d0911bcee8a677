# Checks of the tree itself; see the scripts beside this file.
