"""``webhooks.deliver``: signed HTTP calls that reach only addresses that they may reach.

``addresses.py`` decides where a connection may go, ``sending.py`` makes it, ``signing.py`` signs, ``answers.py`` decides
what an answer means for the job, ``tasks.py`` puts them together.
"""
