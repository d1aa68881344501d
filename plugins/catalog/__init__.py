"""The plugins that ship with Holdfast: a folder each, with ``plugin.toml`` and the module that it names."""
