"""MySQL text to statements: what the user wrote, as data, before anybody asks whether its tables exist.

    text ──► lexer (tokens, shape) ──► parser ──► by the first words: alter, show, assignments, ...
                                          └─────► queries, data changes, CREATE TABLE: sqlglot (tree)
                                                              ──► statements (and alterations): plain dataclasses

What holds here:

* nothing in this package reads the catalogue or the store, so one text gives one statement, and may be cached by text;
* a form that is not understood is an error that names it (1064 for what is no SQL, 1235 for what Rutile does not do);
  no word is skipped because it is not known;
* texts that are kept (defaults, views, CHECK) are written by `mysql_text` and come back through the same parser.

`lexer` also cuts a text into its shape and its literals: statements of one shape share one plan.
"""
