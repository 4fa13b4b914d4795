"""Setting up a checkout: the environment, Node, the bundles; and running all checks."""
