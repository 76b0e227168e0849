"""What two processes of a Rutile cluster must agree on: protocol definitions, keys, codecs, timestamps, errors."""
