"""What the database says of itself: SHOW, DESCRIBE, ADMIN, information_schema, and where a table's regions lie.

Each answer is made when asked, from the catalogue, from PD or from the sessions of this front end; none is kept.
"""
