// A stand-in without a range lock.
