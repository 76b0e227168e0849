"""Placement rules: which replicas a key range shall have, and how well a region follows.

    rules.py       a rule: count, role, label constraints, location labels; its JSON form
    rule_book.py   all rules, and which of them hold where
    isolation.py   how far apart stores are
    attainable.py  how far apart the stores there are could be
    fit.py         which peer of a region serves which rule

The rules that hold at a region's first key say what it should be. A fit assigns its peers to them: rule after rule, as
many peers as the rule wants, sound ones before unsound ones, in the right role before others, far apart before near.
What is left over is an orphan. Everything a checker does to a region is to make its fit perfect; everything a
scheduler does must leave it as good as it is.
"""
