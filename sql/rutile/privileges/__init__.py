"""Users and what they may do.

    a client     ──► accounts.find_account (name, host) ──► passwords (proof) ──► model.Identity, on its session
    a statement  ──► needs.needs_of (what it asks for)  ──► held.Held (what account and roles have) ──► run, or 1142

*Where it lives.* Users are catalogue state: one record each (`model.User`: password hashes, grants, roles), loaded and
versioned with the tables, so every front end learns of a GRANT as it learns of an ALTER, within a catalogue lease.

*What holds here.*

* There is one door. `check.SessionPrivileges.check` stands before every statement of every session, whichever way it
  came and whichever plan serves it; needs come from the statement's text alone, and are kept by it. PREPARE passes the
  same door.
* A statement the door does not know needs SUPER: what is added to the language is closed until somebody says who may.
* Refused means nothing was done, and what a user may not see is not told: lists show what it has a privilege on.
* Sessions of the process itself (an embedded database, jobs) are not checked: who has the files has the data.

*Accounts* are 'name'@'host', the host a pattern (`%`, `_`); the most specific pattern that matches counts. `root`@`%`
exists always, with every privilege and no password until it gets one. Roles are accounts that are locked; they give
what they have while they are active: the default ones from the start, others by SET ROLE.

*Levels*: global (`*.*`), database (`app.*`, a pattern), table (`app.orders`). Not here: column privileges, proxies,
password expiry and history, resource limits, WITH ADMIN OPTION; they are refused by name.
"""
