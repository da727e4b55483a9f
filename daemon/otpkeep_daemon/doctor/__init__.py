"""What can be wrong on a machine, found and told with its repair. Nothing here changes anything."""
