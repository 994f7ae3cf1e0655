//! Starts the real parts that certgate is tested against.
