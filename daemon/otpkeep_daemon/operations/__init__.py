"""What can be asked of a service: one function an operation, service and plain arguments in, a plain answer out."""
