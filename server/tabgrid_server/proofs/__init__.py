"""What lets anybody check the grid's books: trees of receipts, memos, signed statements.

Pure, save for ``audit``, which reads a grid's public API and a chain's RPC and nothing else.
"""
