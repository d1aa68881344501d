"""What is remembered: history of jobs in SQL, the recorder that writes it, the queries that read it, and the audit."""

from data.database import Database, open_database

__all__ = ["Database", "open_database"]
