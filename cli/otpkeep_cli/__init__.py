"""The otpkeep command line."""
