"""What several tests share: real programs, started and stopped. No fakes of our own code."""
