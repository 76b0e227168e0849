"""MySQL's protocol: what `mysql`, PyMySQL, JDBC, SQLAlchemy and the rest of that world speak, served from sessions.

    bytes ──► packets.PacketDecoder ──► link.Link ──► connection.Connection ──► rutile.session.session.Session
                     (tls within)  └─► prompt_answers       │
              login, handshake, auth      who is there      │  before the first command
              commands, prepared_commands what is asked  ◄──┤
              literals                    text in, as str   │
              prepared, binary_protocol   parameters in     │
              load_data, records          a file in         │
              columns, text_protocol,     rows out       ◄──┘
              binary_protocol, replies
              cursors                     rows out when they are fetched
              session_track               what changed of the session

*A conversation.* The server speaks first: its greeting offers capabilities and a nonce. The client answers with the
capabilities it wants of those, a user, and a proof that it knows the password; the two sets' intersection governs
everything after. Then the client sends one command at a time, and each is answered by OK, an error, or a result set:
column definitions, rows, an end. Packets carry a sequence number that both sides count on from the command.

*What holds here.*

* Nothing is executed before the password was checked. A refused client gets 1045 and a closed connection; that it does
  not know the user or the password looks the same.
* Memory is bounded whatever a client does. A packet over `max_allowed_packet` is skipped while it arrives and answered
  with 1153. Statements sent ahead wait in the socket, not here. Rows leave in chunks, and a client that does not read
  holds back its own query until a deadline closes it.
* What comes in is checked against its length at every step (`wire.FieldReader`); a malformed packet is error 1835 or
  1043, never an exception of ours.
* A result's metadata is that of the values sent: DECIMAL, DATE, BLOB and unsigned columns arrive as such. A column that
  is a table's unchanged says which (`rutile.rows.origins`), with the flags of its keys, on whatever way it was read.
* A point SELECT that takes no await is answered before the connection's task hears of it, with the same bytes
  (`prompt_answers`).
* PREPARE tells how many columns and parameters there are, because libmysql and libmariadb lose step without it. The
  types of computed columns are known only when rows are there: EXECUTE's own definitions have them.

* TLS, where the server has a certificate, begins inside the conversation: what has arrived with the request already
  belongs to it (`tls`). Who came in, and as which account, is an `Identity` on the session; what it may do is asked
  there (`rutile.privileges`), not here.
* The password never travels. Both methods' proofs are checked against what the catalogue keeps, so the slow exchange of
  caching_sha2_password, which sends it, is never asked for.

* Text is a str within and in the client's character set on the wire (`rutile.session.charsets`): by the number in its
  handshake, later by SET NAMES. What a set has no bytes for is an error, in results too, where MySQL would send "?";
  only names and messages have the "?".

*Not here, and not offered in the greeting, so that clients do not try:* compression, query attributes.

Facts: MySQL's protocol documentation ("Client/Server Protocol"), and the measurements behind the design, which tell
where real clients depend on what the documentation leaves open.
"""
