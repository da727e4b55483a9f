"""The otpkeep daemon: the store, the folder, and the one pass between them."""
