"""The JSON that the grid's own API speaks; TypeScript types and OpenAPI are made from here.

A room per resource; names are imported from the room they live in. Times are seconds since
1970 as floats. Amounts are integers in base units of the token that stands beside them. Bytes
travel as base64 text.
"""
