//! Friday.
