"""Everything that speaks Solana: signing in, claims, the treasury, and a chain of our own."""
