"""Code that brings tasks: the manifest, the loader, the child process for work that can't be trusted, the catalog.

Nothing is imported here, so that a child process that needs one room doesn't pay for the others.
"""
