"""The otpkeep protocol: bytes and values in, bytes and values out; no IO, clock or randomness."""
