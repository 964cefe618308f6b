//! Hand-computed expectations.
