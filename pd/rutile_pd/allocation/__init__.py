"""What the placement driver gives out once and never again: timestamps, ids, and garbage collection's leave.

    tso           timestamps, each above all before
    ids           numbers for stores, regions and peers, each given once
    safe_points   how far garbage collection may go: only ever forward, and never past what somebody still reads

All three work alike: they give only below a limit that is durable, and say in time which limit they want next. A crash
or another leader begins at the limit, so what was given out before cannot be given again, whoever has it. They are
plain objects; who waits for the log is `rutile_pd.services.reserves`.
"""
