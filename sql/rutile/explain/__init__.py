"""EXPLAIN and EXPLAIN ANALYZE: which operator runs where, under TiDB's names, and what running it showed.

The text is made from the plan that would be executed, never from a second planning: what EXPLAIN shows is what runs.
"""
