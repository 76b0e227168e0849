"""Raft: how a few machines keep one log (Ongaro & Ousterhout 2014, "the paper"; Ongaro's dissertation, "the
thesis")."""
