"""Pieces of pages that run in the browser: each a small Vue component and the Python class that feeds it.

A component gets plain values as props, shows them as text, and tells what a person did by events; it decides nothing.
"""
